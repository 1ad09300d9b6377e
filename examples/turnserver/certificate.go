package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a pair of files that may be replaced while the server runs, as certificates that last weeks are.
type certificate struct {
	cert, key string // Immutable.

	// Guarded by mu.
	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // of the file in use
}

// get is tls.Config's GetCertificate: it reads the files again when they have changed. Files that do not fit, as in the
// middle of a change, leave the certificate as it was.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.cert)
	if err == nil && (c.current == nil || !info.ModTime().Equal(c.changed)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.current, c.changed = &pair, info.ModTime()
		}
	}
	if c.current == nil {
		return nil, err
	}
	if err != nil {
		slog.Warn("the certificate stays as it was", "error", err)
	}
	return c.current, nil
}
