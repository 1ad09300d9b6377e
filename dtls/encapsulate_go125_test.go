//go:build !go1.26

package dtls

// seededEncapsulation: before Go 1.26 the server's half of ML-KEM cannot be made to repeat.
func seededEncapsulation(uint64) func([]byte) ([]byte, []byte, error) { return nil }

const repeatable = false
