//go:build race

package dtlsio

const raceEnabled = true
