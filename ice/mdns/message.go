package mdns

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// cacheFlush marks a record as the only one of its name and type (RFC 6762 §10.2), and a question as one that may be
	// answered by unicast (§5.4).
	topBit = 1 << 15
	// recordTTL is what hosts' addresses live in caches, in seconds (RFC 6762 §10).
	recordTTL = 120
	// legacyTTL is the most that a resolver which knows nothing of multicast DNS is told (RFC 6762 §6.7).
	legacyTTL = 10
	typeNSEC  = dnsmessage.Type(47)
	// maxMessage is the largest message that is read (RFC 6762 §17) or written.
	maxMessage = 9000
)

// IsLocal tells whether a host name belongs to multicast DNS (RFC 6762 §3).
func IsLocal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".local") && len(host) > len(".local")
}

// canonical returns a name in lower case, with its final dot, and checks its form.
func canonical(name string) (dnsmessage.Name, error) {
	if !IsLocal(name) {
		return dnsmessage.Name{}, fmt.Errorf("%w: %q does not end in .local", ErrName, name)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 {
			return dnsmessage.Name{}, fmt.Errorf("%w: %q", ErrName, name)
		}
	}
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return dnsmessage.Name{}, fmt.Errorf("%w: %w", ErrName, err)
	}
	return n, nil
}

// sameName compares names as DNS does; the second one is canonical.
func sameName(n, canonical dnsmessage.Name) bool {
	return n.Length == canonical.Length &&
		strings.EqualFold(string(n.Data[:n.Length]), string(canonical.Data[:canonical.Length]))
}

// typeOf returns the record type of an address.
func typeOf(addr netip.Addr) dnsmessage.Type {
	if addr.Is4() {
		return dnsmessage.TypeA
	}
	return dnsmessage.TypeAAAA
}

// appendQuestion writes a query with one question.
func appendQuestion(dst []byte, id uint16, name dnsmessage.Name, t dnsmessage.Type) ([]byte, error) {
	b := dnsmessage.NewBuilder(dst, dnsmessage.Header{ID: id})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: name, Type: t, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	return b.Finish()
}

// answer is one response about one name.
type answer struct {
	name   dnsmessage.Name
	addr   netip.Addr
	absent bool   // deny the other types instead of telling the address
	ttl    uint32 // seconds
	// legacy repeats the id and the question of a resolver that knows nothing of multicast DNS (RFC 6762 §6.7).
	legacy   bool
	id       uint16
	question dnsmessage.Question
}

// append writes the response.
func (a answer) append(dst []byte) ([]byte, error) {
	h := dnsmessage.Header{Response: true, Authoritative: true}
	class := dnsmessage.ClassINET | topBit
	if a.legacy {
		h.ID, class = a.id, dnsmessage.ClassINET
	}
	b := dnsmessage.NewBuilder(dst, h)
	if a.legacy {
		if err := b.StartQuestions(); err != nil {
			return nil, err
		}
		if err := b.Question(a.question); err != nil {
			return nil, err
		}
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	rh := dnsmessage.ResourceHeader{Name: a.name, Class: class, TTL: a.ttl}
	var err error
	switch {
	case a.absent:
		rh.Type = typeNSEC
		err = b.UnknownResource(rh, dnsmessage.UnknownResource{Type: typeNSEC, Data: nsec(a.name, typeOf(a.addr))})
	case a.addr.Is4():
		err = b.AResource(rh, dnsmessage.AResource{A: a.addr.As4()})
	default:
		err = b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.addr.As16()})
	}
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// nsec says that a name has records of one type only (RFC 6762 §6.1): the name itself, uncompressed, and a bitmap.
func nsec(name dnsmessage.Name, t dnsmessage.Type) []byte {
	var data []byte
	for _, label := range strings.Split(strings.TrimSuffix(name.String(), "."), ".") {
		data = append(append(data, byte(len(label))), label...)
	}
	data = append(data, 0)
	bitmap := make([]byte, int(t)/8+1)
	bitmap[t/8] = 0x80 >> (t % 8)
	return append(append(data, 0, byte(len(bitmap))), bitmap...)
}

// address returns what an A or AAAA record says; invalid: it is neither.
func address(p *dnsmessage.Parser, h dnsmessage.ResourceHeader) (netip.Addr, error) {
	switch {
	case h.Class&^topBit != dnsmessage.ClassINET:
	case h.Type == dnsmessage.TypeA:
		r, err := p.AResource()
		return netip.AddrFrom4(r.A), err
	case h.Type == dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		return netip.AddrFrom16(r.AAAA).Unmap(), err
	}
	return netip.Addr{}, p.SkipAnswer()
}
