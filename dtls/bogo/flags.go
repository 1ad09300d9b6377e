package main

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openparley/webrtc/dtls"
)

// errUnimplemented: the test needs what the engine does not have.
var errUnimplemented = errors.New("unimplemented")

func leftOut(reason string) error { return fmt.Errorf("%w: %s", errUnimplemented, reason) }

// flags describe a test's connection.
type flags struct {
	config dtls.Config

	port    string
	shimID  uint64
	server  bool
	ipv6    bool
	dtls    bool
	noTLS12 bool
	noTLS13 bool

	credentials []credential // the first is the default one, which comes last

	verifyPeer, requireCertificate, verifyFail, customVerify bool

	exportLen     int
	exportLabel   string
	exportContext string
	useContext    bool

	writesFirst, shutsDown, checkCloseNotify     bool
	keyUpdateBeforeRead, keyUpdate               bool
	expectHRR, expectNoHRR, expectNoPeerCert     bool
	expectCurve, expectPeerScheme, expectVersion int
	expectALPN                                   *string
	declineALPN                                  bool
}

// parseFlags reads the command line. A flag that is not known makes the test unimplemented.
func parseFlags(args []string) (*flags, error) {
	f := &flags{}
	for len(args) > 0 {
		name := args[0]
		args = args[1:]
		if set, ok := switches[name]; ok {
			set(f)
			continue
		}
		set, ok := values[name]
		if !ok {
			return nil, leftOut(reason(name))
		}
		if len(args) == 0 {
			return nil, fmt.Errorf("%s lacks its value", name)
		}
		if err := set(f, args[0]); err != nil {
			return nil, fmt.Errorf("%w (%s %s)", err, name, args[0])
		}
		args = args[1:]
	}
	return f, f.finish()
}

func ignore(*flags) {}

// switches are flags without a value.
var switches = map[string]func(*flags){
	"-ipv6":                                 func(f *flags) { f.ipv6 = true },
	"-server":                               func(f *flags) { f.server = true },
	"-dtls":                                 func(f *flags) { f.dtls = true },
	"-no-tls1":                              ignore,
	"-no-tls12":                             func(f *flags) { f.noTLS12 = true },
	"-no-tls13":                             func(f *flags) { f.noTLS13 = true },
	"-no-ticket":                            ignore, // there never is one
	"-async":                                ignore, // the engine never blocks
	"-implicit-handshake":                   ignore,
	"-renegotiate-freely":                   ignore, // it is refused
	"-use-early-callback":                   ignore,
	"-use-old-client-cert-callback":         ignore,
	"-expect-no-session-id":                 ignore,
	"-expect-no-session":                    ignore,
	"-forbid-renegotiation-after-handshake": ignore,
	"-verify-peer":                          func(f *flags) { f.verifyPeer = true },
	"-require-any-client-certificate":       func(f *flags) { f.requireCertificate = true },
	"-verify-fail":                          func(f *flags) { f.verifyFail = true },
	"-use-custom-verify-callback":           func(f *flags) { f.customVerify = true },
	"-expect-verify-result":                 ignore, // the runner sees the outcome
	"-new-x509-credential":                  func(f *flags) { f.current(); f.credentials = append(f.credentials, credential{}) },
	"-use-export-context":                   func(f *flags) { f.useContext = true },
	"-shim-writes-first":                    func(f *flags) { f.writesFirst = true },
	"-shim-shuts-down":                      func(f *flags) { f.shutsDown = true },
	"-check-close-notify":                   func(f *flags) { f.checkCloseNotify = true },
	"-key-update-before-read":               func(f *flags) { f.keyUpdateBeforeRead = true },
	"-key-update":                           func(f *flags) { f.keyUpdate = true },
	"-expect-hrr":                           func(f *flags) { f.expectHRR = true },
	"-expect-no-hrr":                        func(f *flags) { f.expectNoHRR = true },
	"-expect-no-peer-cert":                  func(f *flags) { f.expectNoPeerCert = true },
	"-decline-alpn":                         func(f *flags) { f.declineALPN = true },
}

// values are flags with one.
var values = map[string]func(*flags, string) error{
	"-port":                        func(f *flags, v string) error { f.port = v; return nil },
	"-shim-id":                     func(f *flags, v string) (err error) { f.shimID, err = strconv.ParseUint(v, 10, 64); return err },
	"-trust-cert":                  func(*flags, string) error { return nil }, // certificates are the caller's business
	"-cert-file":                   func(f *flags, v string) error { f.current().certFile = v; return nil },
	"-key-file":                    func(f *flags, v string) error { f.current().keyFile = v; return nil },
	"-expect-selected-credential":  func(*flags, string) error { return nil }, // the runner sees the certificate
	"-signing-prefs":               func(f *flags, v string) error { return appendNumber(&f.current().prefs, v) },
	"-verify-prefs":                func(f *flags, v string) error { return appendNumber(&f.config.SignatureSchemes, v) },
	"-curves":                      func(f *flags, v string) error { return appendNumber(&f.config.Groups, v) },
	"-mtu":                         func(f *flags, v string) (err error) { f.config.MTU, err = strconv.Atoi(v); return err },
	"-initial-timeout-duration-ms": (*flags).setTimeout,
	"-min-version":                 func(f *flags, v string) error { return f.setVersion(&f.config.MinVersion, v, true) },
	"-max-version":                 func(f *flags, v string) error { return f.setVersion(&f.config.MaxVersion, v, false) },
	"-cipher":                      (*flags).setCipher,
	"-srtp-profiles":               (*flags).setProfiles,
	"-export-keying-material":      func(f *flags, v string) (err error) { f.exportLen, err = strconv.Atoi(v); return err },
	"-export-label":                func(f *flags, v string) error { f.exportLabel = v; return nil },
	"-export-context":              func(f *flags, v string) error { f.exportContext = v; return nil },
	"-expect-curve-id":             func(f *flags, v string) (err error) { f.expectCurve, err = strconv.Atoi(v); return err },
	"-expect-version":              func(f *flags, v string) (err error) { f.expectVersion, err = strconv.Atoi(v); return err },
	"-expect-peer-signature-algorithm": func(f *flags, v string) (err error) {
		f.expectPeerScheme, err = strconv.Atoi(v)
		return err
	},
	"-advertise-alpn": (*flags).setProtocols,
	"-select-alpn":    func(f *flags, v string) error { f.config.Protocols = []string{v}; return nil },
	"-expect-alpn":    func(f *flags, v string) error { f.expectALPN = &v; return nil },
	"-resume-count":   resumption,
}

// resumption: WebRTC has none, so neither has the engine.
func resumption(_ *flags, n string) error {
	if n == "0" {
		return nil
	}
	return leftOut(reasonResumption)
}

func appendNumber[T ~uint16](list *[]T, v string) error {
	n, err := strconv.ParseUint(v, 10, 16)
	*list = append(*list, T(n))
	return err
}

// credential is a certificate of the shim.
type credential struct {
	certFile, keyFile string
	prefs             []dtls.SignatureScheme
}

// current is the credential that flags speak of.
func (f *flags) current() *credential {
	if len(f.credentials) == 0 {
		f.credentials = []credential{{}}
	}
	return &f.credentials[len(f.credentials)-1]
}

func (f *flags) setTimeout(v string) error {
	ms, err := strconv.Atoi(v)
	f.config.InitialTimeout = time.Duration(ms) * time.Millisecond
	return err
}

// dtls10 is a version that a minimum may name.
const dtls10 = 0xfeff

func (f *flags) setVersion(out *dtls.Version, v string, minimum bool) error {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return err
	}
	if n == dtls10 {
		if !minimum {
			return leftOut("legacy: DTLS 1.0")
		}
		n = uint64(dtls.VersionDTLS12)
	}
	*out = dtls.Version(n)
	return nil
}

// setCipher takes a list of names; BoringSSL's rule language is its own.
func (f *flags) setCipher(v string) error {
	for name := range strings.SplitSeq(v, ":") {
		id, ok := cipherNames[name]
		if !ok {
			return leftOut(reasonLegacy)
		}
		f.config.CipherSuites = append(f.config.CipherSuites, id)
	}
	f.config.CipherSuites = append(f.config.CipherSuites, dtls.AES128GCMSHA256, dtls.AES256GCMSHA384, dtls.ChaCha20Poly1305SHA256)
	return nil
}

var cipherNames = map[string]dtls.CipherSuite{
	"ECDHE-ECDSA-AES128-GCM-SHA256": dtls.ECDHEECDSAAES128GCMSHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": dtls.ECDHEECDSAAES256GCMSHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": dtls.ECDHEECDSAChaCha20Poly1305,
	"ECDHE-RSA-AES128-GCM-SHA256":   dtls.ECDHERSAAES128GCMSHA256,
	"ECDHE-RSA-AES256-GCM-SHA384":   dtls.ECDHERSAAES256GCMSHA384,
	"ECDHE-RSA-CHACHA20-POLY1305":   dtls.ECDHERSAChaCha20Poly1305,
}

func (f *flags) setProfiles(v string) error {
	known := map[string]dtls.SRTPProfile{
		"SRTP_AES128_CM_SHA1_80": dtls.SRTPAES128CMSHA1_80, "SRTP_AES128_CM_SHA1_32": dtls.SRTPAES128CMSHA1_32,
		"SRTP_AEAD_AES_128_GCM": dtls.SRTPAEADAES128GCM, "SRTP_AEAD_AES_256_GCM": dtls.SRTPAEADAES256GCM,
	}
	for name := range strings.SplitSeq(v, ":") {
		p, ok := known[name]
		if !ok {
			return leftOut("an SRTP profile that is not ours")
		}
		f.config.SRTPProfiles = append(f.config.SRTPProfiles, p)
	}
	return nil
}

// setProtocols reads ALPN's wire format.
func (f *flags) setProtocols(v string) error {
	for len(v) > 0 {
		n := int(v[0])
		if n == 0 || n > len(v)-1 {
			return leftOut(reasonALPN)
		}
		f.config.Protocols = append(f.config.Protocols, v[1:1+n])
		v = v[1+n:]
	}
	return nil
}

// finish turns what was said into a configuration.
func (f *flags) finish() error {
	if !f.dtls {
		return leftOut("not DTLS")
	}
	if f.noTLS13 {
		f.config.MaxVersion = dtls.VersionDTLS12
	}
	if f.noTLS12 {
		f.config.MinVersion = dtls.VersionDTLS13
	}
	if f.declineALPN {
		f.config.Protocols = nil
	}
	f.config.Role = dtls.RoleClient
	if f.server {
		f.config.Role = dtls.RoleServer
	}
	switch {
	case f.verifyPeer:
		f.config.ClientAuth = dtls.RequestCertificate
	case !f.requireCertificate:
		f.config.ClientAuth = dtls.NoCertificate
	}
	f.config.Rand = rand.Reader
	// The runner judges every reaction, to plaintext as well.
	f.config.Grace = -1
	f.config.VerifyPeer = f.verify
	return f.loadCertificates()
}

var errRefused = errors.New("CERTIFICATE_VERIFY_FAILED")

func (f *flags) verify([][]byte) error {
	// Without a demand for verification its failure is BoringSSL's "soft" one.
	if !f.verifyFail || !f.verifyPeer && !f.requireCertificate {
		return nil
	}
	alert := dtls.AlertHandshakeFailure
	if f.customVerify {
		alert = dtls.AlertCertificateUnknown
	}
	return &dtls.AlertError{Alert: alert, Err: errRefused}
}

// loadCertificates orders them as BoringSSL does: those of their own first, the default one last.
func (f *flags) loadCertificates() error {
	f.current()
	var list []dtls.Certificate
	for _, c := range append(f.credentials[1:len(f.credentials):len(f.credentials)], f.credentials[0]) {
		if c.certFile == "" && c.keyFile == "" {
			continue
		}
		cert, err := c.load()
		if err != nil {
			return err
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		if f.server {
			return leftOut("no certificate of the server")
		}
		return nil
	}
	f.config.Certificate, f.config.Alternatives = list[0], list[1:]
	return nil
}

func (c *credential) load() (cert dtls.Certificate, err error) {
	cert.SignatureSchemes = c.prefs
	text, err := os.ReadFile(c.certFile)
	if err != nil {
		return cert, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		cert.Chain = append(cert.Chain, block.Bytes)
	}
	if text, err = os.ReadFile(c.keyFile); err != nil {
		return cert, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return cert, errors.New("no key")
	}
	cert.PrivateKey, err = parseKey(block.Bytes)
	return cert, err
}

func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	return nil, fmt.Errorf("%w: key %s", errUnimplemented, base64.StdEncoding.EncodeToString(der[:min(16, len(der))]))
}
