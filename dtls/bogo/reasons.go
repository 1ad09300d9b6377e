package main

// notHere names the flags of tests that are left out, and why. Any other flag that is not known is left out as well, "unknown".
var notHere = map[string]string{
	"-resume-count": reasonResumption, "-expect-session-miss": reasonResumption, "-use-ticket-callback": reasonResumption,
	"-use-ticket-aead-callback": reasonResumption, "-skip-ticket": reasonResumption, "-renew-ticket": reasonResumption,
	"-expect-ticket-supports-early-data": reasonEarlyData, "-enable-early-data": reasonEarlyData,
	"-on-resume-expect-accept-early-data": reasonEarlyData,

	"-ocsp-response": reasonOCSP, "-enable-ocsp-stapling": reasonOCSP, "-use-ocsp-callback": reasonOCSP,
	"-signed-cert-timestamps": reasonSCT, "-enable-signed-cert-timestamps": reasonSCT,
	"-new-rpk-credential": reasonRPK, "-available-client-cert-types": reasonRPK,
	"-new-delegated-credential":  "TLS only: delegated credentials",
	"-application-settings":      "TLS only: ALPS",
	"-quic-use-legacy-codepoint": reasonQUIC, "-quic-transport-params": reasonQUIC,
	"-host-name": reasonSNI, "-expect-server-name": reasonSNI,
	"-ech-server-config": reasonECH, "-ech-config-list": reasonECH, "-enable-ech-grease": reasonECH,

	"-psk": reasonPSK, "-new-psk-credential": reasonPSK,

	"-must-match-issuer":         "BoringSSL's API: certificates chosen by issuer",
	"-send-alert":                "BoringSSL's API: an alert at the application's will",
	"-private-key-delay-ms":      "BoringSSL's API: private keys that answer later",
	"-expect-msg-callback":       "BoringSSL's API: message callbacks",
	"-max-cert-list":             "BoringSSL's API: a limit of chains at will",
	"-reject-alpn":               reasonALPN,
	"-select-empty-alpn":         reasonALPN,
	"-expect-advertised-alpn":    reasonALPN,
	"-allow-unknown-alpn-protos": reasonALPN,
}

const (
	reasonResumption = "session resumption"
	reasonEarlyData  = "early data"
	reasonOCSP       = "TLS only: OCSP stapling"
	reasonSCT        = "TLS only: certificate timestamps"
	reasonRPK        = "TLS only: raw public keys"
	reasonQUIC       = "TLS only: QUIC"
	reasonSNI        = "TLS only: server names"
	reasonECH        = "TLS only: Encrypted ClientHello"
	reasonPSK        = "legacy: PSK"
	reasonALPN       = "BoringSSL's API: ALPN callbacks"
	reasonLegacy     = "legacy cipher suite"
)

// reason tells why a flag's tests are left out.
func reason(flag string) string {
	if r, ok := notHere[flag]; ok {
		return r
	}
	return "unknown flag " + flag
}
