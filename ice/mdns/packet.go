package mdns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// HandlePacket feeds a packet that came from the local link; pkt is not kept. unicast says that it came to a socket with a
// port of its own, where only answers to our questions are expected. The error, ErrPacket, is for logs.
func (a *Agent) HandlePacket(now time.Time, from netip.AddrPort, unicast bool, pkt []byte) error {
	if a.closed {
		return ErrClosed
	}
	if len(pkt) > maxMessage {
		return fmt.Errorf("%w: %d bytes", ErrPacket, len(pkt))
	}
	var p dnsmessage.Parser
	h, err := p.Start(pkt)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrPacket, err)
	case h.OpCode != 0 || h.RCode != 0: // RFC 6762 §18.3, §18.11: ignored
		return fmt.Errorf("%w: opcode %d, response code %d", ErrPacket, h.OpCode, h.RCode)
	case h.Response && from.Port() != Port: // RFC 6762 §6: MUST be ignored
		return fmt.Errorf("%w: answer from port %d", ErrPacket, from.Port())
	case h.Response:
		err = a.handleResponse(&p, h, unicast)
	default:
		err = a.handleQuery(now, &p, h, from)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPacket, err)
	}
	return nil
}

// handleResponse ends the queries that the records answer. An answer to one resolver must repeat its id.
func (a *Agent) handleResponse(p *dnsmessage.Parser, h dnsmessage.Header, unicast bool) error {
	if len(a.queries) == 0 {
		return nil
	}
	if err := p.SkipAllQuestions(); err != nil {
		return err
	}
	found := map[*query][]netip.Addr{}
	for range maxRecords {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return err
		}
		addr, err := address(p, rh)
		if err != nil {
			return err
		}
		if !addr.IsValid() || rh.TTL == 0 {
			continue
		}
		for _, q := range a.queries {
			if sameName(rh.Name, q.name) && (!unicast || h.ID == q.wire) && !slices.Contains(found[q], addr) {
				found[q] = append(found[q], addr)
			}
		}
	}
	a.queries = slices.DeleteFunc(a.queries, func(q *query) bool {
		addrs := found[q]
		if len(addrs) > 0 {
			a.events = append(a.events, EventResolved{ID: q.id, Addrs: addrs})
		}
		return len(addrs) > 0
	})
	return nil
}

// handleQuery answers the questions about published names.
func (a *Agent) handleQuery(now time.Time, p *dnsmessage.Parser, h dnsmessage.Header, from netip.AddrPort) error {
	if len(a.published) == 0 {
		return nil
	}
	var questions []dnsmessage.Question
	for range maxRecords {
		q, err := p.Question()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return err
		}
		class := q.Class &^ topBit
		if a.find(q.Name) != nil && (class == dnsmessage.ClassINET || class == dnsmessage.ClassANY) {
			questions = append(questions, q)
		}
	}
	if len(questions) == 0 {
		return nil
	}
	known := a.knownAnswers(p)
	for _, q := range questions {
		r := a.find(q.Name)
		an := answer{name: r.name, addr: r.addr, ttl: recordTTL}
		an.absent = q.Type != typeOf(r.addr) && q.Type != dnsmessage.TypeALL
		switch {
		case from.Port() != Port: // RFC 6762 §6.7
			an.legacy, an.id, an.ttl = true, h.ID, legacyTTL
			an.question = q
			an.question.Class &^= topBit
			a.say(from, an)
		case slices.Contains(known, r) && !an.absent: // RFC 6762 §7.1: MUST NOT be answered
		case q.Class&topBit != 0 && now.Sub(r.multicast) < recordTTL/4*time.Second: // RFC 6762 §5.4
			a.say(from, an)
		case an.absent:
			if now.Sub(r.denied) >= time.Second {
				r.denied = now
				a.say(netip.AddrPort{}, an)
			}
		case now.Sub(r.multicast) >= time.Second: // RFC 6762 §6: MUST NOT be sent more often
			r.multicast = now
			a.say(netip.AddrPort{}, an)
		}
	}
	return nil
}

// knownAnswers returns the published records that the asking side has already (RFC 6762 §7.1).
func (a *Agent) knownAnswers(p *dnsmessage.Parser) (known []*record) {
	if p.SkipAllQuestions() != nil {
		return nil
	}
	for range maxRecords {
		h, err := p.AnswerHeader()
		if err != nil {
			return known
		}
		addr, err := address(p, h)
		if err != nil {
			return known
		}
		if r := a.find(h.Name); r != nil && r.addr == addr && h.TTL >= recordTTL/2 {
			known = append(known, r)
		}
	}
	return known
}
