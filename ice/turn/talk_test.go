package turn

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// talk is a client and a server without a network, so that a test can see and change every message.
type talk struct {
	t   *testing.T
	c   *Client
	now time.Time
}

func newTalk(t *testing.T, change func(*Config)) *talk {
	t.Helper()
	cfg := Config{
		Server: netip.MustParseAddrPort("30.0.0.1:3478"), Username: user, Password: password, Rand: rand.NewChaCha8([32]byte{2}),
		KeepAlive: 24 * time.Hour,
	}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &talk{t: t, c: c, now: time.Unix(1_000_000, 0)}
}

// sent takes the next message of the client, and checks that it is a request of the method; a zero method: there is none.
func (k *talk) sent(method stun.Method) (raw []byte, a attributes) {
	k.t.Helper()
	raw, ok := k.c.Next(nil)
	switch {
	case !ok && method == 0:
		return nil, a
	case !ok:
		k.t.Fatalf("nothing was sent, want %v", method)
	case !a.parse(raw) || a.malformed || messageType(raw) != stun.NewType(method, stun.ClassRequest):
		k.t.Fatalf("sent %v, want %v", messageType(raw), method)
	}
	return raw, a
}

// reply answers a request; a key seals the answer.
func (k *talk) reply(request []byte, class stun.MessageClass, key *integrity, list ...attribute) error {
	k.t.Helper()
	var m stun.Message
	start(&m, stun.NewType(messageType(request).Method, class), transactionID(request))
	for _, a := range list {
		if ap, err := netip.ParseAddrPort(string(a.v)); err == nil {
			addAddress(&m, a.t, ap)
			continue
		}
		m.Add(a.t, a.v)
	}
	if key != nil {
		key.seal(&m)
	}
	_, _, err := k.c.HandlePacket(k.now, m.Raw)
	return err
}

func refusal(code int) attribute {
	return attribute{stun.AttrErrorCode, append([]byte{0, 0, byte(code / 100), byte(code % 100)}, "because"...)}
}

func nonce(s string) attribute { return attribute{stun.AttrNonce, []byte(s)} }

var (
	home    = attribute{stun.AttrRealm, []byte(realm)}
	relayed = attribute{stun.AttrXORRelayedAddress, []byte("30.0.0.1:50000")}
	mapped  = attribute{stun.AttrXORMappedAddress, []byte("31.0.0.1:5000")}
	md5Key  = &integrity{key: longTermKey(algorithmMD5, user, realm, password)}
	success = stun.ClassSuccessResponse
	failure = stun.ClassErrorResponse
)

// challenged begins an allocation and answers the first request; it returns the second.
func (k *talk) challenged() []byte {
	k.t.Helper()
	k.c.Allocate(k.now)
	raw, a := k.sent(stun.MethodAllocate)
	if a.username != nil || a.hasSHA1 || a.transport != protocolUDP {
		k.t.Errorf("first request: %+v", a)
	}
	_ = k.reply(raw, failure, nil, refusal(401), home, nonce("one"))
	raw, a = k.sent(stun.MethodAllocate)
	if string(a.username) != user || string(a.realm) != realm || string(a.nonce) != "one" || !md5Key.check(raw) || a.algorithms != nil {
		k.t.Errorf("second request: %+v", a)
	}
	return raw
}

// allocated has an allocation.
func (k *talk) allocated() {
	k.t.Helper()
	if err := k.reply(k.challenged(), success, md5Key, relayed, mapped, lifetime(600)); err != nil || k.c.State() != StateAllocated {
		k.t.Fatalf("%v, %v", err, k.c.State())
	}
	k.events()
}

func (k *talk) events() (list []Event) {
	for {
		e, ok := k.c.Event()
		if !ok {
			return list
		}
		list = append(list, e)
	}
}

// wantFailed wants EventFailed as the last event, with a code if that is not zero.
func (k *talk) wantFailed(code int) {
	k.t.Helper()
	list := k.events()
	e, ok := last[EventFailed](list)
	var refusal *Error
	if !ok || (code != 0 && (!errors.As(e.Err, &refusal) || refusal.Code != code)) || k.c.State() != StateFailed {
		k.t.Errorf("%+v, state %v; want a failure by %d", list, k.c.State(), code)
	}
	k.sent(0)
}

func (k *talk) advance(d time.Duration) {
	k.t.Helper()
	for end := k.now.Add(d); ; {
		at := k.c.Deadline()
		if at.IsZero() || at.After(end) {
			k.now = end
			return
		}
		k.now = at
		k.c.Advance(k.now)
		if at := k.c.Deadline(); due(at, k.now) {
			k.t.Fatal("deadline is not after Advance")
		}
	}
}
