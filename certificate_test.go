package webrtc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestGenerateCertificateByKey(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key  crypto.Signer
		want error
	}{
		"none": {nil, nil}, "P-256": {p256, nil}, "P-384": {p384, nil}, "Ed25519": {edwards, &NotSupportedError{}},
	} {
		cert, err := GenerateCertificate(c.key)
		wantError(t, name, err, c.want)
		if err != nil {
			continue
		}
		if left := time.Until(cert.Expires()); left < 29*24*time.Hour || left > 31*24*time.Hour {
			t.Errorf("%s: expires in %v", name, left)
		}
		if serial := cert.X509().SerialNumber; serial.Sign() <= 0 || serial.BitLen() > 160 {
			t.Errorf("%s: serial number %v", name, serial)
		}
		if name := cert.X509().Subject.CommonName; strings.Contains(strings.ToLower(name), "parley") {
			t.Errorf("the name %q tells the program", name)
		}
	}
}

func TestCertificatesAreWellFormed(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := []crypto.Signer{rsaKey}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		for _, now := range []time.Time{time.Now(), time.Date(2049, 12, 30, 0, 0, 0, 0, time.Local)} {
			cert, err := generateCertificate(key, rand.Reader, now)
			if err != nil {
				t.Fatal(err)
			}
			x, err := x509.ParseCertificate(cert.der)
			if err != nil {
				t.Fatalf("%T: %v", key, err)
			}
			if err := x.CheckSignature(x.SignatureAlgorithm, x.RawTBSCertificate, x.Signature); err != nil {
				t.Errorf("%T: %v", key, err)
			}
			if !x.NotAfter.Equal(cert.Expires()) || !x.NotBefore.Before(now) {
				t.Errorf("%T: valid from %v to %v, expires %v", key, x.NotBefore, x.NotAfter, cert.Expires())
			}
			if x.Version != 3 || x.Subject.String() != "CN=WebRTC" || x.Issuer.String() != "CN=WebRTC" {
				t.Errorf("%T: version %d, from %v to %v", key, x.Version, x.Issuer, x.Subject)
			}
			if _, err := CertificateFromX509(key, x); err != nil {
				t.Errorf("%T: %v", key, err)
			}
		}
	}
}

func TestRSACertificates(t *testing.T) {
	weak := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}
	_, err := GenerateCertificate(weak)
	wantError(t, "1024 bits", err, &NotSupportedError{})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		p.must(p.a.Close())
		<-p.a.Done()
		cert, err := GenerateCertificate(key)
		p.must(err)
		p.a, err = p.a.api.NewPeerConnection(Configuration{Certificates: []Certificate{*cert}})
		p.must(err)
		trickle(t, p.a, p.b)
		trickle(t, p.b, p.a)
		a, b := p.dataPair(nil)
		checkEcho(p, a, b)
	})
}

func TestCertificatesAreKeptAsPEM(t *testing.T) {
	cert := testCertificate(t)
	text, err := cert.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := CertificateFromPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := cert.GetFingerprints()
	b, _ := again.GetFingerprints()
	if !cert.Equals(*again) || a[0] != b[0] || !again.Expires().Equal(cert.Expires()) {
		t.Error("another certificate")
	}
	blocks := strings.SplitAfter(text, "-----END CERTIFICATE-----\n")
	if swapped, err := CertificateFromPEM(blocks[1] + blocks[0]); err != nil || !swapped.Equals(cert) {
		t.Errorf("the key first: %v", err)
	}
	other, err := testCertificate(t).PEM()
	if err != nil {
		t.Fatal(err)
	}
	foreign := strings.SplitAfter(other, "-----END CERTIFICATE-----\n")
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing": {"", &SyntaxError{}}, "prose": {"hello", &SyntaxError{}}, "no key": {blocks[0], &SyntaxError{}},
		"no certificate": {blocks[1], &SyntaxError{}}, "another's key": {blocks[0] + foreign[1], &InvalidAccessError{}},
		"garbage": {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + blocks[1], &SyntaxError{}},
	} {
		_, err := CertificateFromPEM(c.text)
		wantError(t, name, err, c.want)
	}
}

func TestTheZeroCertificate(t *testing.T) {
	var zero Certificate
	_, err := zero.PEM()
	wantError(t, "PEM", err, &InvalidStateError{})
	_, err = zero.GetFingerprints()
	wantError(t, "GetFingerprints", err, &InvalidStateError{})
	if !zero.Expires().IsZero() || zero.X509() != nil || zero.Equals(zero) || zero.Equals(testCertificate(t)) {
		t.Error("the zero certificate is something")
	}
	_, err = NewPeerConnection(Configuration{Certificates: []Certificate{zero}})
	wantError(t, "NewPeerConnection", err, &InvalidAccessError{})
}

func TestTheFingerprintIsInTheDescription(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		cert := p.a.GetConfiguration().Certificates[0]
		prints, err := cert.GetFingerprints()
		p.must(err)
		if len(prints) != 1 || prints[0].Algorithm != "sha-256" || len(prints[0].Value) != 95 ||
			strings.ToUpper(prints[0].Value) != prints[0].Value {
			t.Errorf("%v", prints)
		}
		if d := p.offer(p.a); !strings.Contains(d.SDP, "a=fingerprint:sha-256 "+prints[0].Value+"\r\n") {
			t.Errorf("%s", d.SDP)
		}
	})
}

func TestAnExpiredCertificateIsRefused(t *testing.T) {
	inBubble(t, pairOptions{quiet: true}, func(p *pair) {
		cert := testCertificate(t)
		time.Sleep(time.Until(cert.Expires()) + time.Hour)
		_, err := p.a.api.NewPeerConnection(Configuration{Certificates: []Certificate{cert}})
		wantError(t, "NewPeerConnection", err, &InvalidAccessError{})
	})
}

func TestAWrongFingerprintFailsTheConnection(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		failed := make(chan struct{})
		p.a.OnConnectionStateChange(func(s PeerConnectionState) {
			if s == PeerConnectionStateFailed {
				close(failed)
			}
		})
		dc, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		dc.OnOpen(func() { t.Error("open") })
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		p.must(p.b.SetRemoteDescription(*p.a.LocalDescription()))
		p.must(p.b.SetLocalDescription(SessionDescription{}))
		other := testCertificate(t)
		mine, err := p.b.GetConfiguration().Certificates[0].GetFingerprints()
		p.must(err)
		wrong, err := other.GetFingerprints()
		p.must(err)
		answer := *p.b.LocalDescription()
		answer.SDP = strings.ReplaceAll(answer.SDP, mine[0].Value, wrong[0].Value)
		p.must(p.a.SetRemoteDescription(answer))
		within(p, 30*time.Second, "failed", failed)
		if s := p.a.DTLSState(); s != DTLSTransportStateFailed {
			t.Errorf("DTLS is %v", s)
		}
	})
}

func TestTheCertificateStaysInRenegotiation(t *testing.T) {
	inBubble(t, pairOptions{}, func(p *pair) {
		a, b := p.dataPair(nil)
		other, err := testCertificate(t).GetFingerprints()
		p.must(err)
		mine, err := p.a.GetConfiguration().Certificates[0].GetFingerprints()
		p.must(err)
		offer, err := p.a.CreateOffer(nil)
		p.must(err)
		offer.SDP = strings.ReplaceAll(offer.SDP, mine[0].Value, other[0].Value)
		wantError(t, "another certificate", p.b.SetRemoteDescription(offer), &OperationError{})
		if s := p.b.SignalingState(); s != SignalingStateStable {
			t.Errorf("state %v", s)
		}
		p.negotiate(p.b, p.a)
		checkEcho(p, a, b)
	})
}
