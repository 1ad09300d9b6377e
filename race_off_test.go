//go:build !race

package webrtc

// raceEnabled tells tests that the race detector slows them down.
const raceEnabled = false
