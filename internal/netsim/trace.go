package netsim

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	"github.com/openparley/webrtc/internal/netio"
)

// Record is the end of one datagram's way: its delivery, or its loss.
type Record struct {
	// Sent and At are the start and the end, since Epoch.
	Sent, At time.Duration
	// Source is the sender, Host who received it; nil if it was lost.
	Source, Host *Host
	// From and To are the addresses as the sender wrote them.
	From, To netip.AddrPort
	// SeenFrom is the source that the receiver sees: NATs have rewritten it.
	SeenFrom netip.AddrPort
	// Data is valid during the call of the tracer.
	Data []byte
	ECN  uint8
	// Fate is "ok", or why it was lost: loss, blackout, queue, mtu, nat,
	// filtered, no-route, down.
	Fate string
}

// Lost says whether the datagram was lost.
func (r Record) Lost() bool { return r.Host == nil }

// String is one line of a golden log:
//
//	t=120ms a→b 192.0.2.1:5000→192.0.2.2:5000 1200B ECT0 +20ms
//	t=140ms a→? 192.0.2.1:5000→192.0.2.2:5000 1200B drop=loss
func (r Record) String() string {
	var s strings.Builder
	to := "?"
	if r.Host != nil {
		to = r.Host.name
	}
	fmt.Fprintf(&s, "t=%v %s→%s %v→%v", r.At, r.Source.name, to, r.From, r.To)
	if r.Host != nil && r.SeenFrom != r.From {
		fmt.Fprintf(&s, " as %v", r.SeenFrom)
	}
	fmt.Fprintf(&s, " %dB", len(r.Data))
	switch r.ECN {
	case netio.ECT0:
		s.WriteString(" ECT0")
	case netio.ECT1:
		s.WriteString(" ECT1")
	case netio.CE:
		s.WriteString(" CE")
	}
	if r.Lost() {
		fmt.Fprintf(&s, " drop=%s", r.Fate)
	} else {
		fmt.Fprintf(&s, " +%v", r.At-r.Sent)
	}
	return s.String()
}

// Trace calls f at the end of each datagram's way, in order of time; nil ends
// it. A tracer that knows the protocol can write better lines than String.
func (n *Network) Trace(f func(Record)) { n.trace = f }

func (n *Network) record(t int64, p *packet, h *Host, f fate) {
	if n.trace == nil {
		return
	}
	n.trace(Record{
		Sent: time.Duration(p.sent), At: time.Duration(t),
		Source: p.host, Host: h,
		From: p.origin, To: p.target, SeenFrom: p.from,
		Data: p.data, ECN: p.ecn, Fate: reasons[f],
	})
}

// Log collects lines: n.Trace(log.Packet). The zero value is empty and ready.
type Log struct{ b strings.Builder }

// Packet adds the line of a record.
func (l *Log) Packet(r Record) { l.Printf("%v", r) }

// Printf adds a line.
func (l *Log) Printf(format string, args ...any) {
	fmt.Fprintf(&l.b, format, args...)
	l.b.WriteByte('\n')
}

// String returns all lines.
func (l *Log) String() string { return l.b.String() }

// Sum is a hash of all lines, to compare long runs.
func (l *Log) Sum() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(l.b.String()))
	return h.Sum64()
}
