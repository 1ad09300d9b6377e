package dtlsio

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"github.com/openparley/webrtc/dtls"
)

var (
	errConfig        = errors.New("dtls: unusable TLS configuration")
	errNoCertificate = errors.New("dtls: the server has no certificate")
)

// ClientFromTLS makes of a configuration for TLS one for DTLS, which verifies the server's chain as crypto/tls does, for
// tc.ServerName, which must be set unless InsecureSkipVerify is. What counts: RootCAs, ServerName, Time,
// InsecureSkipVerify, VerifyPeerCertificate, VerifyConnection (which is told names and certificates, and nothing of the
// connection yet), the first of Certificates, NextProtos, MinVersion, MaxVersion, Rand and KeyLogWriter. The rest has no
// effect.
func ClientFromTLS(tc *tls.Config) (dtls.Config, error) {
	cfg, err := config(tc)
	if err != nil {
		return cfg, err
	}
	if tc.ServerName == "" && !tc.InsecureSkipVerify {
		return cfg, fmt.Errorf("%w: neither ServerName nor InsecureSkipVerify", errConfig)
	}
	if _, err := netip.ParseAddr(tc.ServerName); err != nil {
		cfg.ServerName = tc.ServerName
	}
	if len(tc.Certificates) > 0 {
		if cfg.Certificate, err = certificate(&tc.Certificates[0]); err != nil {
			return cfg, err
		}
	}
	// A first ClientHello with a post-quantum key share needs two datagrams, and many a server takes no first ClientHello
	// that comes in fragments, because it keeps nothing before it has seen a cookie. Who has a share to offer may still
	// ask for it.
	cfg.KeyShares = []dtls.Group{dtls.GroupX25519}
	cfg.VerifyPeer = func(chain [][]byte) error { return verify(tc, chain) }
	return cfg, nil
}

// ServerFromTLS makes of a configuration for TLS one for a connection of a DTLS server. What counts: Certificates, or else
// GetCertificate, which is told nothing of the client; NextProtos, MinVersion, MaxVersion, Rand and KeyLogWriter. Clients
// are not asked for certificates.
func ServerFromTLS(tc *tls.Config) (dtls.Config, error) {
	cfg, err := config(tc)
	if err != nil {
		return cfg, err
	}
	certs := tc.Certificates
	if tc.GetCertificate != nil {
		one, err := tc.GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			return cfg, fmt.Errorf("dtls: certificate: %w", err)
		}
		if one != nil {
			certs = []tls.Certificate{*one}
		}
	}
	for i := range certs {
		cert, err := certificate(&certs[i])
		switch {
		case err != nil:
			return cfg, err
		case i == 0:
			cfg.Certificate = cert
		default:
			cfg.Alternatives = append(cfg.Alternatives, cert)
		}
	}
	if len(certs) == 0 {
		return cfg, fmt.Errorf("%w: no certificate", errConfig)
	}
	cfg.ClientAuth = dtls.NoCertificate
	return cfg, nil
}

// config is what both sides have in common.
func config(tc *tls.Config) (dtls.Config, error) {
	cfg := dtls.Config{Rand: tc.Rand, KeyLog: tc.KeyLogWriter, Protocols: tc.NextProtos}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if tc.MinVersion > tls.VersionTLS12 {
		cfg.MinVersion = dtls.VersionDTLS13
	}
	switch {
	case tc.MaxVersion == 0 || tc.MaxVersion > tls.VersionTLS12:
	case tc.MaxVersion == tls.VersionTLS12:
		cfg.MaxVersion = dtls.VersionDTLS12
	default:
		return cfg, fmt.Errorf("%w: DTLS begins with version 1.2", errConfig)
	}
	return cfg, nil
}

func certificate(c *tls.Certificate) (dtls.Certificate, error) {
	key, ok := c.PrivateKey.(crypto.Signer)
	if !ok || len(c.Certificate) == 0 {
		return dtls.Certificate{}, fmt.Errorf("%w: a certificate without a key that signs", errConfig)
	}
	return dtls.Certificate{Chain: c.Certificate, PrivateKey: key}, nil
}

// verify judges a server's chain as crypto/tls does.
func verify(tc *tls.Config, raw [][]byte) error {
	certs := make([]*x509.Certificate, 0, len(raw))
	for _, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("dtls: the server's certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return errNoCertificate
	}
	var chains [][]*x509.Certificate
	if !tc.InsecureSkipVerify {
		opts := x509.VerifyOptions{Roots: tc.RootCAs, DNSName: tc.ServerName, Intermediates: x509.NewCertPool()}
		if tc.Time != nil {
			opts.CurrentTime = tc.Time()
		}
		for _, cert := range certs[1:] {
			opts.Intermediates.AddCert(cert)
		}
		var err error
		if chains, err = certs[0].Verify(opts); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: certs, Err: err}
		}
	}
	if tc.VerifyPeerCertificate != nil {
		if err := tc.VerifyPeerCertificate(raw, chains); err != nil {
			return err
		}
	}
	if tc.VerifyConnection != nil {
		return tc.VerifyConnection(tls.ConnectionState{
			ServerName: tc.ServerName, PeerCertificates: certs, VerifiedChains: chains,
		})
	}
	return nil
}
