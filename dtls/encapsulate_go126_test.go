//go:build go1.26

package dtls

import (
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
)

// seededEncapsulation makes the server's half of ML-KEM repeat.
func seededEncapsulation(seed uint64) func([]byte) ([]byte, []byte, error) {
	rand := seeded(seed ^ 0x6b656d)
	return func(key []byte) ([]byte, []byte, error) {
		ek, err := mlkem.NewEncapsulationKey768(key)
		if err != nil {
			return nil, nil, err
		}
		random := make([]byte, 32)
		_, _ = rand.Read(random)
		return mlkemtest.Encapsulate768(ek, random)
	}
}

const repeatable = true
