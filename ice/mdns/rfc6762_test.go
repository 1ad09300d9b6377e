package mdns

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var (
	epoch  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	v4     = netip.MustParseAddr("192.0.2.7")
	v6     = netip.MustParseAddr("2001:db8::7")
	peer   = netip.MustParseAddrPort("192.0.2.9:5353")
	legacy = netip.MustParseAddrPort("192.0.2.9:40000")
)

const name = "b1f0a1c2-0000-4000-8000-000000000001.local"

func newAgent(t testing.TB, seed byte) *Agent {
	t.Helper()
	a, err := New(Config{Rand: rand.NewChaCha8([32]byte{seed})})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// out takes and parses all outgoing packets.
func out(t testing.TB, a *Agent) (list []packet) {
	t.Helper()
	for {
		tx, ok := a.Next()
		if !ok {
			return list
		}
		p := packet{Transmit: tx}
		if err := p.Unpack(tx.Data); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

type packet struct {
	Transmit
	dnsmessage.Message
}

// response builds an answer with one address.
func response(t testing.TB, host string, addr netip.Addr, change ...func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}}
	rh := dnsmessage.ResourceHeader{
		Name: dnsmessage.MustNewName(host + "."), Type: typeOf(addr), Class: dnsmessage.ClassINET | topBit, TTL: 120,
	}
	if addr.Is4() {
		m.Answers = []dnsmessage.Resource{{Header: rh, Body: &dnsmessage.AResource{A: addr.As4()}}}
	} else {
		m.Answers = []dnsmessage.Resource{{Header: rh, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
	}
	for _, f := range change {
		f(&m)
	}
	return pack(t, m)
}

// question builds a query with one question.
func question(t testing.TB, host string, typ dnsmessage.Type, change ...func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(host + "."), Type: typ, Class: dnsmessage.ClassINET,
	}}}
	for _, f := range change {
		f(&m)
	}
	return pack(t, m)
}

func pack(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func askFor(t testing.TB, a *Agent, now time.Time) uint64 {
	t.Helper()
	id, err := a.Query(now, name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRFC6762Section5QueriesAreRepeatedEverLessOften(t *testing.T) {
	a, now := newAgent(t, 1), epoch
	id := askFor(t, a, now)
	var at []time.Duration
	for {
		for _, p := range out(t, a) {
			if len(p.Questions) != 1 || p.To.IsValid() || p.Response {
				t.Fatalf("packet %+v, want one question for the group", p.Message)
			}
			if p.Questions[0].Type == dnsmessage.TypeA {
				at = append(at, now.Sub(epoch))
			}
		}
		if e, ok := a.Event(); ok {
			if e.ID != id || !errors.Is(e.Err, ErrTimeout) || now.Sub(epoch) != 8*time.Second {
				t.Errorf("event %+v at %v", e, now.Sub(epoch))
			}
			break
		}
		d := a.Deadline()
		if !d.After(now) {
			t.Fatalf("deadline %v is not after %v", d, now)
		}
		now = d
		a.Advance(now)
	}
	want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}
	if len(at) != len(want) {
		t.Fatalf("asked at %v, want %v", at, want)
	}
	for i := range want {
		if at[i] != want[i] {
			t.Errorf("asked at %v, want %v", at, want)
		}
	}
	if !a.Idle() || !a.Deadline().IsZero() {
		t.Error("something is left")
	}
}

func TestRFC6762Section6AnswersThatCount(t *testing.T) {
	wrongID := func(m *dnsmessage.Message) { m.ID++ }
	cases := []struct {
		what    string
		from    netip.AddrPort
		unicast bool
		pkt     func(a *Agent) []byte
		want    bool
	}{
		{"to the group", peer, false, func(*Agent) []byte { return response(t, name, v4) }, true},
		{"IPv6", peer, false, func(*Agent) []byte { return response(t, name, v6) }, true},
		{"in capitals", peer, false, func(*Agent) []byte { return response(t, strings.ToUpper(name), v4) }, true},
		{"of another name", peer, false, func(*Agent) []byte { return response(t, "other.local", v4) }, false},
		{"from another port", legacy, false, func(*Agent) []byte { return response(t, name, v4) }, false},
		{"goodbye", peer, false, func(*Agent) []byte {
			return response(t, name, v4, func(m *dnsmessage.Message) { m.Answers[0].Header.TTL = 0 })
		}, false},
		{"of another class", peer, false, func(*Agent) []byte {
			return response(t, name, v4, func(m *dnsmessage.Message) { m.Answers[0].Header.Class = dnsmessage.ClassCHAOS })
		}, false},
		{"with an error code", peer, false, func(*Agent) []byte {
			return response(t, name, v4, func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeServerFailure })
		}, false},
		{"unicast", peer, true, func(a *Agent) []byte {
			return response(t, name, v4, func(m *dnsmessage.Message) { m.ID = a.queries[0].wire })
		}, true},
		{"unicast, guessed", peer, true, func(a *Agent) []byte {
			return response(t, name, v4, func(m *dnsmessage.Message) { m.ID = a.queries[0].wire }, wrongID)
		}, false},
		{"behind another record", peer, false, func(*Agent) []byte {
			return response(t, name, v4, func(m *dnsmessage.Message) {
				txt := dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("x.local."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.TXTResource{TXT: []string{"x"}},
				}
				m.Answers = append([]dnsmessage.Resource{txt}, m.Answers...)
			})
		}, true},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			a := newAgent(t, 1)
			id := askFor(t, a, epoch)
			_ = a.HandlePacket(epoch, c.from, c.unicast, c.pkt(a))
			e, ok := a.Event()
			if ok != c.want || (ok && (e.ID != id || e.Err != nil || len(e.Addrs) != 1)) {
				t.Errorf("event %+v, %v", e, ok)
			}
		})
	}
}

func TestRFC6762NamesAskedFor(t *testing.T) {
	a := newAgent(t, 1)
	for _, bad := range []string{"", "local", ".local", "example.com", "a..local", strings.Repeat("x", 64) + ".local", strings.Repeat("x.", 200) + "local"} {
		if _, err := a.Query(epoch, bad); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for range maxQueries {
		askFor(t, a, epoch)
		out(t, a)
	}
	if _, err := a.Query(epoch, name); !errors.Is(err, ErrLimit) {
		t.Errorf("one query too many: %v", err)
	}
	a.Cancel(1)
	askFor(t, a, epoch)
	t.Log("# one answer serves everybody who asks")
	if err := a.HandlePacket(epoch, peer, false, response(t, name, v4)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, ok := a.Event(); ok; _, ok = a.Event() {
		n++
	}
	if n != maxQueries {
		t.Errorf("%d events", n)
	}
	a.Close(epoch)
	if _, err := a.Query(epoch, name); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func publish(t testing.TB, a *Agent, addr netip.Addr) string {
	t.Helper()
	host, err := a.Publish(epoch, addr)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.local$`).MatchString(host) {
		t.Fatalf("name %q is no version 4 UUID", host)
	}
	return host
}

func TestRFC6762Section8NamesAreAnnouncedAndTakenBack(t *testing.T) {
	a, now := newAgent(t, 1), epoch
	host := publish(t, a, v4)
	for i := range 2 {
		list := out(t, a)
		if len(list) != 1 || list[0].To.IsValid() || list[0].Answers[0].Header.TTL != 120 ||
			list[0].Answers[0].Header.Class != dnsmessage.ClassINET|topBit || list[0].Header.ID != 0 {
			t.Fatalf("announcement %d: %+v", i, list)
		}
		if now = now.Add(time.Second); i == 0 && !a.Deadline().Equal(now) {
			t.Errorf("the second announcement is due at %v", a.Deadline())
		}
		a.Advance(now)
	}
	if !a.Deadline().IsZero() || a.Idle() {
		t.Error("announced for ever, or forgotten")
	}
	a.Unpublish(now, host)
	if list := out(t, a); len(list) != 1 || list[0].Answers[0].Header.TTL != 0 {
		t.Errorf("no goodbye: %+v", list)
	}
	if !a.Idle() {
		t.Error("something is left")
	}
	publish(t, a, v6)
	out(t, a)
	a.Close(now)
	if list := out(t, a); len(list) != 1 || list[0].Answers[0].Header.TTL != 0 {
		t.Errorf("no goodbye at the end: %+v", list)
	}
}

func TestRFC6762Section6QuestionsAreAnswered(t *testing.T) {
	a := newAgent(t, 1)
	host := publish(t, a, v4)
	now := epoch.Add(time.Minute)
	a.Advance(now)
	out(t, a)
	now = now.Add(time.Minute)
	ask := func(from netip.AddrPort, pkt []byte) []packet {
		t.Helper()
		if err := a.HandlePacket(now, from, false, pkt); err != nil {
			t.Fatal(err)
		}
		return out(t, a)
	}
	t.Log("# a full resolver: to the group, once a second at most")
	if list := ask(peer, question(t, strings.ToUpper(host), dnsmessage.TypeA)); len(list) != 1 || list[0].To.IsValid() ||
		list[0].Answers[0].Body.(*dnsmessage.AResource).A != v4.As4() {
		t.Errorf("answers %+v", list)
	}
	if list := ask(peer, question(t, host, dnsmessage.TypeA)); len(list) != 0 {
		t.Errorf("again within a second: %+v", list)
	}
	t.Log("# the unicast-response bit, when the group has heard it lately")
	if list := ask(peer, question(t, host, dnsmessage.TypeALL, func(m *dnsmessage.Message) {
		m.Questions[0].Class |= topBit
	})); len(list) != 1 || list[0].To != peer {
		t.Errorf("answers %+v", list)
	}
	t.Log("# the other type does not exist")
	list := ask(peer, question(t, host, dnsmessage.TypeAAAA))
	if len(list) != 1 || list[0].Answers[0].Header.Type != typeNSEC {
		t.Fatalf("answers %+v", list)
	}
	data := list[0].Answers[0].Body.(*dnsmessage.UnknownResource).Data
	if len(data) != len(host)+2+3 || string(data[len(data)-3:]) != "\x00\x01\x40" {
		t.Errorf("NSEC %x", data)
	}
	if list := ask(peer, question(t, host, dnsmessage.TypeAAAA)); len(list) != 0 {
		t.Errorf("again within a second: %+v", list)
	}
	t.Log("# a simple resolver: by unicast, with its id and question, for ten seconds, without the cache-flush bit (§6.7)")
	list = ask(legacy, question(t, host, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.ID = 77 }))
	if len(list) != 1 || list[0].To != legacy || list[0].Header.ID != 77 || len(list[0].Questions) != 1 ||
		list[0].Answers[0].Header.TTL != 10 || list[0].Answers[0].Header.Class != dnsmessage.ClassINET {
		t.Errorf("answers %+v", list)
	}
	t.Log("# who knows the answer already gets none (§7.1)")
	now = now.Add(10 * time.Second)
	known := func(ttl uint32) func(m *dnsmessage.Message) {
		return func(m *dnsmessage.Message) {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: ttl},
				Body:   &dnsmessage.AResource{A: v4.As4()},
			}}
		}
	}
	if list := ask(peer, question(t, host, dnsmessage.TypeA, known(60))); len(list) != 0 {
		t.Errorf("answers %+v", list)
	}
	if list := ask(peer, question(t, host, dnsmessage.TypeA, known(59))); len(list) != 1 {
		t.Errorf("answers %+v", list)
	}
	t.Log("# names of others")
	if list := ask(peer, question(t, name, dnsmessage.TypeA)); len(list) != 0 {
		t.Errorf("answers %+v", list)
	}
}

func TestOneAgentResolvesAnother(t *testing.T) {
	for _, addr := range []netip.Addr{v4, v6} {
		a, b := newAgent(t, 1), newAgent(t, 2)
		host := publish(t, b, addr)
		out(t, b)
		now := epoch.Add(time.Minute)
		if _, err := a.Query(now, host); err != nil {
			t.Fatal(err)
		}
		for _, p := range out(t, a) {
			if err := b.HandlePacket(now, legacy, false, p.Data); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range out(t, b) {
			if err := a.HandlePacket(now, peer, true, p.Data); err != nil {
				t.Fatal(err)
			}
		}
		if e, ok := a.Event(); !ok || len(e.Addrs) != 1 || e.Addrs[0] != addr {
			t.Errorf("%v: event %+v", addr, e)
		}
		if _, err := b.Query(now, host); err != nil {
			t.Fatal(err)
		}
		if e, ok := b.Event(); !ok || len(e.Addrs) != 1 || e.Addrs[0] != addr {
			t.Errorf("one's own name: event %+v", e)
		}
	}
}

func FuzzHandlePacket(f *testing.F) {
	f.Add(response(f, name, v4))
	f.Add(response(f, name, v6))
	f.Add(question(f, name, dnsmessage.TypeA))
	f.Add(question(f, name, dnsmessage.TypeALL, func(m *dnsmessage.Message) { m.Questions[0].Class |= topBit }))
	f.Fuzz(func(t *testing.T, pkt []byte) {
		a := newAgent(t, 1)
		askFor(t, a, epoch)
		host := publish(t, a, v4)
		a.published[0].name = dnsmessage.MustNewName(name + ".")
		out(t, a)
		for _, from := range []netip.AddrPort{peer, legacy} {
			_ = a.HandlePacket(epoch.Add(time.Minute), from, false, pkt)
			_ = a.HandlePacket(epoch.Add(time.Minute), from, true, pkt)
		}
		if list := out(t, a); len(list) > 4*maxRecords {
			t.Errorf("%d packets", len(list))
		}
		a.Unpublish(epoch, host)
		for {
			e, ok := a.Event()
			if !ok {
				break
			}
			if e.Err == nil && len(e.Addrs) == 0 {
				t.Error("an outcome without addresses")
			}
		}
	})
}
