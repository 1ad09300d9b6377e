package sctp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Scripted packet tests, in the manner of packetdrill. A script is a list of lines
//
//	<ms> <verb> <arguments>
//
// with times since the begin. The verbs are the calls of the application (connect, send, reset, receive, credit, shutdown,
// close, batch), "<" for a packet that the peer sends and ">" for a packet that must come out at just that time. Everything
// that comes out must be expected. TSNs count from zero on both sides, and so do the numbers of reset requests. In what is
// expected, * matches any word.
//
//	DATA tsn flags stream ssn length    IDATA tsn flags stream mid fsn length    flags of B E U I, or -
//	SACK cum window [gaps a-b,…] [dup tsn,…]
//	FWD cum stream:ssn…                 IFWD cum stream:mid[:u]…
//	RESET request last streams…         ANSWER request result
//	HB, HBACK, PAD, INIT, INITACK, COOKIE, COOKIEACK, SHUTDOWN cum, SHUTDOWNACK, COMPLETE, ABORT cause, ERROR cause
type drill struct {
	t        *testing.T
	a        *Association
	now      time.Time
	begin    time.Time
	out      []sent
	peerTag  uint32
	peerTSN  uint32
	cookie   []byte // of our INIT ACK
	features features
	batch    bool // "batch" ends batches, otherwise every packet is one
	got      []Message
	line     string
}

type sent struct {
	at   time.Duration
	text string
}

// runDrill plays a script on an association that is connected already; fresh: that is new.
func runDrill(t *testing.T, c Config, fresh bool, script string) *drill {
	t.Helper()
	c.Rand = seeded{newRand(42)}
	if c.Path.RTT == 0 {
		c.Path.RTT = 100 * time.Millisecond
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	d := &drill{t: t, a: a, now: time.Unix(1e9, 0), peerTag: 0xabcdef01, peerTSN: 1000, features: a.localFeatures()}
	d.begin = d.now
	if !fresh {
		if err := a.ConnectInit(d.now, d.init(typeInit)); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range strings.Split(script, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 1 {
			d.line = strings.Join(f, " ")
			ms, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatalf("%s: %v", d.line, err)
			}
			if at := time.Duration(ms) * time.Millisecond; d.begin.Add(at).After(d.now) {
				d.advance(at)
			}
			d.do(f[1], f[2:])
			d.collect()
		}
	}
	if len(d.out) > 0 {
		t.Errorf("not expected: %v", d.out)
	}
	return d
}

// advance lets time pass, running timers at their times.
func (d *drill) advance(to time.Duration) {
	until := d.begin.Add(to)
	for {
		t := d.a.Deadline()
		if t.IsZero() || t.After(until) {
			break
		}
		d.now = t
		d.a.Advance(t)
		d.collect()
	}
	d.now = until
	d.a.Advance(until)
}

func (d *drill) collect() {
	for {
		pkt, ok := d.a.Next(nil, 1500)
		if !ok {
			return
		}
		d.out = append(d.out, sent{d.now.Sub(d.begin), d.render(pkt)})
	}
}

func (d *drill) do(verb string, f []string) {
	d.t.Helper()
	num := func(i int) int {
		if i >= len(f) {
			return 0
		}
		n, err := strconv.Atoi(f[i])
		if err != nil {
			d.t.Fatalf("%s: %v", d.line, err)
		}
		return n
	}
	switch verb {
	case ">":
		d.expect(strings.Join(f, " "))
	case "<":
		d.feed(f)
	case "connect":
		d.a.Connect(d.now)
	case "send": // stream length [u] [rtx=n] [life=ms]
		var o SendOptions
		for _, w := range f[2:] {
			k, v, _ := strings.Cut(w, "=")
			n, _ := strconv.Atoi(v)
			switch k {
			case "u":
				o.Unordered = true
			case "rtx":
				o.Reliability, o.MaxRetransmits = LimitedRetransmits, uint16(n)
			case "life":
				o.Reliability, o.Lifetime = LimitedLifetime, time.Duration(n)*time.Millisecond
			}
		}
		if err := d.a.Send(d.now, uint16(num(0)), 51, make([]byte, num(1)), o); err != nil {
			d.t.Fatalf("%s: %v", d.line, err)
		}
	case "reset":
		if err := d.a.ResetStream(d.now, uint16(num(0))); err != nil {
			d.t.Fatalf("%s: %v", d.line, err)
		}
	case "receive":
		for range num(0) {
			m, ok := d.a.Receive(func(n int) []byte { return make([]byte, n) })
			if !ok {
				d.t.Fatalf("%s: nothing to receive", d.line)
			}
			d.got = append(d.got, m)
		}
		if _, ok := d.a.Receive(func(n int) []byte { return make([]byte, n) }); ok {
			d.t.Errorf("%s: more to receive", d.line)
		}
	case "credit":
		d.a.Credit(d.now, num(0))
	case "shutdown":
		d.a.Shutdown(d.now)
	case "close":
		d.a.Close(d.now)
	case "batch":
		d.batch = true
		d.a.EndBatch(d.now)
	case "state":
		if got := d.a.State().String(); got != f[0] {
			d.t.Errorf("%s: state %s", d.line, got)
		}
	default:
		d.t.Fatalf("%s: unknown verb", d.line)
	}
}

func (d *drill) expect(want string) {
	d.t.Helper()
	at := d.now.Sub(d.begin).Truncate(time.Millisecond)
	if len(d.out) == 0 {
		d.advance(at + 999*time.Microsecond) // within the millisecond
		d.collect()
	}
	if len(d.out) == 0 {
		d.t.Fatalf("%s: nothing was sent", d.line)
	}
	got := d.out[0]
	d.out = d.out[1:]
	if got.at.Truncate(time.Millisecond) != at {
		d.t.Errorf("%s: %s was sent at %v", d.line, got.text, got.at)
	}
	g, w := strings.Fields(got.text), strings.Fields(want)
	same := len(g) == len(w)
	for i := 0; same && i < len(w); i++ {
		same = w[i] == "*" || w[i] == g[i]
	}
	if !same {
		d.t.Errorf("%s: got %s", d.line, got.text)
	}
}

// feed builds a packet from words; chunks are separated by "|".
func (d *drill) feed(f []string) {
	tag := d.a.localTag
	var b []byte
	for len(f) > 0 {
		n := slices.Index(f, "|")
		if n < 0 {
			n = len(f)
		}
		b = append(b, d.build(f[0], f[1:n], &tag)...)
		f = f[min(n+1, len(f)):]
	}
	pkt := append(appendHeader(nil, 5000, 5000, tag), b...)
	putChecksum(pkt)
	_ = d.a.HandlePacket(d.now, pkt)
	if !d.batch {
		d.a.EndBatch(d.now)
	}
}

func (d *drill) init(t chunkType) []byte {
	in := initChunk{tag: d.peerTag, window: 1 << 20, outStreams: 65535, inStreams: 65535, tsn: d.peerTSN, features: d.features}
	if t == typeInitAck {
		in.cookie = []byte("peer's cookie")
	}
	return in.append(nil, t)
}

func (d *drill) build(name string, f []string, tag *uint32) []byte {
	num := func(i int) uint32 {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			d.t.Fatalf("%s: %v", d.line, err)
		}
		return uint32(n)
	}
	flags := func(s string) (v uint8) {
		for i, c := range "EBUI" {
			if strings.ContainsRune(s, c) {
				v |= 1 << i
			}
		}
		return v
	}
	switch name {
	case "DATA":
		return appendDataChunk(nil, &dataChunk{tsn: d.peerTSN + num(0), flags: flags(f[1]), stream: uint16(num(2)), mid: num(3), ppid: 51, payload: make([]byte, num(4))}, false)
	case "IDATA":
		return appendDataChunk(nil, &dataChunk{tsn: d.peerTSN + num(0), flags: flags(f[1]), stream: uint16(num(2)), mid: num(3), seq: num(4), ppid: 51, payload: make([]byte, num(5))}, true)
	case "SACK":
		cum := d.a.localTSN + num(0)
		var gaps []tsnRange
		var dups []uint32
		for i := 2; i+1 < len(f); i += 2 {
			for _, g := range strings.Split(f[i+1], ",") {
				lo, hi, _ := strings.Cut(g, "-")
				x, _ := strconv.Atoi(lo)
				y, _ := strconv.Atoi(hi)
				if f[i] == "gaps" {
					gaps = append(gaps, tsnRange{d.a.localTSN + uint32(x), d.a.localTSN + uint32(y)})
				} else {
					dups = append(dups, d.a.localTSN+uint32(x))
				}
			}
		}
		return appendSack(nil, cum, num(1), gaps, dups, 1000)
	case "FWD", "IFWD":
		var list []forwardEntry
		for _, w := range f[1:] {
			p := strings.Split(w, ":")
			x, _ := strconv.Atoi(p[0])
			y, _ := strconv.Atoi(p[1])
			list = append(list, forwardEntry{stream: uint16(x), mid: uint32(y), unordered: len(p) > 2})
		}
		return appendForward(nil, d.peerTSN+num(0), list, name == "IFWD")
	case "RESET":
		var ids []uint16
		for i := range f[2:] {
			ids = append(ids, uint16(num(2+i)))
		}
		return appendOutgoingReset(nil, d.peerTSN+num(0), 0, d.peerTSN+num(1), ids)
	case "ANSWER":
		return appendResetResponse(nil, d.a.localTSN+num(0), resetResult(num(1)))
	case "HB":
		return appendChunk(nil, typeHeartbeat, 0, appendParam(nil, paramHeartbeatInfo, []byte("12345678")))
	case "INIT":
		*tag = 0
		return d.init(typeInit)
	case "INITACK":
		return d.init(typeInitAck)
	case "COOKIE":
		return appendChunk(nil, typeCookieEcho, 0, d.cookie)
	case "SHUTDOWN":
		return appendChunk(nil, typeShutdown, 0, binary.BigEndian.AppendUint32(nil, d.a.localTSN+num(0)))
	case "ABORT":
		return appendChunk(nil, typeAbort, 0, appendParam(nil, paramType(num(0)), nil))
	case "ERROR":
		return appendChunk(nil, typeError, 0, appendParam(nil, paramType(num(0)), make([]byte, 4)))
	case "TYPE": // any type, with a value of four bytes
		return appendChunk(nil, chunkType(num(0)), 0, make([]byte, 4))
	}
	for t, n := range drillNames {
		if n == name {
			return appendChunk(nil, t, 0, nil)
		}
	}
	d.t.Fatalf("%s: unknown chunk", d.line)
	return nil
}

var drillNames = map[chunkType]string{
	typeCookieAck: "COOKIEACK", typeShutdownAck: "SHUTDOWNACK", typeShutdownComplete: "COMPLETE", typeHeartbeat: "HB",
	typeHeartbeatAck: "HBACK", typePad: "PAD", typeInit: "INIT", typeInitAck: "INITACK", typeCookieEcho: "COOKIE",
}

// render puts a packet into words.
func (d *drill) render(pkt []byte) string {
	_, b, _ := parseHeader(pkt)
	var all []string
	for len(b) > 0 {
		c, rest, err := nextChunk(b)
		if err != nil {
			d.t.Fatalf("sent a bad packet: %x", pkt)
		}
		b = rest
		all = append(all, d.renderChunk(c))
	}
	return strings.Join(all, " | ")
}

func (d *drill) renderChunk(c chunk) string {
	flags := func(v uint8) (s string) {
		for i, bit := range []uint8{flagBegin, flagEnd, flagUnordered, flagImmediate} {
			if v&bit != 0 {
				s += "BEUI"[i : i+1]
			}
		}
		if s == "" {
			s = "-"
		}
		return s
	}
	switch c.typ {
	case typeData:
		x, _ := parseData(c)
		return fmt.Sprintf("DATA %d %s %d %d %d", x.tsn-d.a.localTSN, flags(x.flags), x.stream, x.mid, len(x.payload))
	case typeIData:
		x, _ := parseIData(c)
		return fmt.Sprintf("IDATA %d %s %d %d %d %d", x.tsn-d.a.localTSN, flags(x.flags), x.stream, x.mid, x.seq, len(x.payload))
	case typeSack:
		x, _ := parseSack(c.value)
		s := fmt.Sprintf("SACK %d %d", int32(x.cum-d.peerTSN), x.window)
		for i := range x.gapCount() {
			s += map[bool]string{true: " gaps ", false: ","}[i == 0] + fmt.Sprintf("%d-%d", x.gap(i).first-d.peerTSN, x.gap(i).last-d.peerTSN)
		}
		for i := range x.dupCount() {
			s += map[bool]string{true: " dup ", false: ","}[i == 0] + fmt.Sprint(x.dup(i)-d.peerTSN)
		}
		return s
	case typeForwardTSN, typeIForwardTSN:
		x, _ := parseForward(c.value, c.typ == typeIForwardTSN)
		s := fmt.Sprintf("%s %d", map[bool]string{true: "IFWD", false: "FWD"}[x.interleaving], x.cum-d.a.localTSN)
		for e, ok := x.next(); ok; e, ok = x.next() {
			s += fmt.Sprintf(" %d:%d", e.stream, e.mid)
			if e.unordered {
				s += ":u"
			}
		}
		return s
	case typeReconfig:
		p, _, _ := nextParam(c.value)
		if p.typ == paramReconfigResponse {
			return fmt.Sprintf("ANSWER %d %d", binary.BigEndian.Uint32(p.value)-d.peerTSN, binary.BigEndian.Uint32(p.value[4:]))
		}
		x, _ := parseOutgoingReset(p.value)
		s := fmt.Sprintf("RESET %d %d", x.request-d.a.localTSN, int32(x.lastTSN-d.a.localTSN))
		for b := x.streams; len(b) > 0; b = b[2:] {
			s += fmt.Sprintf(" %d", binary.BigEndian.Uint16(b))
		}
		return s
	case typeShutdown:
		return fmt.Sprintf("SHUTDOWN %d", int32(binary.BigEndian.Uint32(c.value)-d.peerTSN))
	case typeAbort, typeError:
		p, _, _ := nextParam(c.value)
		return fmt.Sprintf("%s %d", map[bool]string{true: "ABORT", false: "ERROR"}[c.typ == typeAbort], p.typ)
	case typeInitAck:
		x, _ := parseInit(c.value)
		d.cookie = slices.Clone(x.cookie)
	}
	if n, ok := drillNames[c.typ]; ok {
		return n
	}
	return fmt.Sprintf("TYPE %d", c.typ)
}
