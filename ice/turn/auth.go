package turn

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// AuthRequest is a question for an [Auth]: who is this, and what is the password?
type AuthRequest struct {
	Now time.Time
	// Username is what the client says; empty if it sent a USERHASH.
	Username string
	// Userhash is SHA-256 of user name, colon and realm (RFC 8489 §14.4); nil unless [ServerConfig.Userhash] is set.
	Userhash []byte
	Realm    string
	Remote   netip.AddrPort
	// Established: the client has an allocation that was made with this user name. Credentials that were good for it may
	// be good for it still.
	Established bool
}

// Identity is the answer of an [Auth].
type Identity struct {
	Username string // as the keys are derived from it
	Password string
	// Account is what quotas count by; empty: Username.
	Account string
}

// Auth looks credentials up. False: there is no such user. It is called with the server locked, for each request, and
// must not wait.
type Auth func(AuthRequest) (Identity, bool)

// StaticUsers knows fixed passwords by user name, and finds hashed names among them. The map is copied.
func StaticUsers(users map[string]string) Auth {
	users = maps.Clone(users)
	return func(r AuthRequest) (Identity, bool) {
		if r.Userhash == nil {
			password, ok := users[r.Username]
			return Identity{Username: r.Username, Password: password}, ok
		}
		found := Identity{}
		for name, password := range users { // all of them: the time tells nothing
			if hash := userhash(name, r.Realm); len(r.Userhash) == sha256.Size && subtle.ConstantTimeCompare(hash[:], r.Userhash) == 1 {
				found = Identity{Username: name, Password: password}
			}
		}
		return found, found.Username != ""
	}
}

// SharedSecret knows time-limited credentials, as a web service hands them out ("REST API for access to TURN services"):
// the user name is the Unix time of its end, a colon and any text, and the password is [TimedPassword]. An allocation
// outlives its credentials for as long as it is refreshed.
func SharedSecret(secret string) Auth {
	return func(r AuthRequest) (Identity, bool) {
		end, account, _ := strings.Cut(r.Username, ":")
		unix, err := strconv.ParseInt(end, 10, 64)
		if err != nil || (!r.Established && !r.Now.Before(time.Unix(unix, 0))) {
			return Identity{}, false
		}
		return Identity{Username: r.Username, Password: TimedPassword(secret, r.Username), Account: account}, true
	}
}

// TimedUsername is a user name for [SharedSecret] that is good until end.
func TimedUsername(end time.Time, account string) string {
	name := strconv.FormatInt(end.Unix(), 10)
	if account == "" {
		return name
	}
	return name + ":" + account
}

// TimedPassword is the password of a time-limited user name: base64 of HMAC-SHA1 over it, keyed by the secret.
func TimedPassword(secret, username string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// AnyOf asks several, until one knows the user.
func AnyOf(auths ...Auth) Auth {
	return func(r AuthRequest) (Identity, bool) {
		for _, auth := range auths {
			if id, ok := auth(r); ok {
				return id, true
			}
		}
		return Identity{}, false
	}
}

// nonces makes and checks nonces without keeping any: cookie, features, time, and a MAC over the time and the client's
// 5-tuple, so that a nonce is good for one client and one time.
type nonces struct {
	key      [32]byte
	prefix   string // cookie and features
	lifetime time.Duration
}

const (
	nonceMAC  = 12
	nonceSize = 4 + nonceMAC
)

func newNonces(key [32]byte, features byte, lifetime time.Duration) nonces {
	return nonces{
		key: key, lifetime: lifetime,
		prefix: nonceCookie + base64.StdEncoding.EncodeToString([]byte{0, 0, features}),
	}
}

func (n *nonces) make(now time.Time, from FiveTuple) []byte {
	unix := uint32(now.Unix())
	b := n.sum(unix, from)
	return base64.RawURLEncoding.AppendEncode([]byte(n.prefix), b[:])
}

func (n *nonces) sum(unix uint32, from FiveTuple) (b [nonceSize]byte) {
	b[0], b[1], b[2], b[3] = byte(unix>>24), byte(unix>>16), byte(unix>>8), byte(unix)
	h := hmac.New(sha256.New, n.key[:])
	h.Write(b[:4])
	addr := from.Remote.Addr().As16()
	h.Write(addr[:])
	port := from.Remote.Port()
	h.Write([]byte{byte(port >> 8), byte(port), byte(from.Listener >> 24), byte(from.Listener >> 16), byte(from.Listener >> 8), byte(from.Listener)})
	var sum [sha256.Size]byte
	copy(b[4:], h.Sum(sum[:0]))
	return b
}

func (n *nonces) valid(now time.Time, from FiveTuple, nonce []byte) bool {
	text, ok := strings.CutPrefix(string(nonce), n.prefix)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(nonceSize) {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	unix := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	want := n.sum(unix, from)
	age := time.Duration(int32(uint32(now.Unix())-unix)) * time.Second
	return hmac.Equal(want[:], b) && age >= 0 && age < n.lifetime
}
