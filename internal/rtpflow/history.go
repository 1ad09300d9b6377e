package rtpflow

import "time"

// HistoryConfig says what is kept for retransmission. Zero values mean the defaults.
type HistoryConfig struct {
	// MaxPackets is how many packets are kept, rounded up to a power of two, at most 32768. Zero: 1024.
	MaxPackets int
	// MaxBytes is how many bytes of packets are kept. Zero: 1 MiB.
	MaxBytes int
	// MinAge is how long a packet should be kept: while the caps allow, the memory grows until it holds as much.
	// Zero: one second.
	MinAge time.Duration
}

// History keeps the packets that were sent in one stream, to send them again when a NACK asks for them. Packets lie one
// after the other in one ring of bytes, which begins small and grows with the bit rate.
type History struct {
	cfg    HistoryConfig
	stored []storedPacket // a ring, first stored first
	oldest uint64         // the number of the first that is still here; its place is that modulo the ring's size
	next   uint64
	bySeq  []uint64 // by sequence number modulo its size: which packet to look at
	bytes  []byte
	head   int // where the next packet's bytes go
}

type storedPacket struct {
	seq      uint16
	at, n    int
	storedAt time.Time
	resentAt time.Time
}

const (
	firstHistoryBytes   = 16 << 10
	firstHistoryPackets = 64
)

// NewHistory makes an empty history; it takes memory when the first packet comes.
func NewHistory(cfg HistoryConfig) *History {
	if cfg.MaxPackets <= 0 {
		cfg.MaxPackets = 1024
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 1 << 20
	}
	if cfg.MinAge <= 0 {
		cfg.MinAge = time.Second
	}
	packets := firstHistoryPackets
	for packets < min(cfg.MaxPackets, 1<<15) {
		packets *= 2
	}
	cfg.MaxPackets = packets
	cfg.MaxBytes = max(cfg.MaxBytes, firstHistoryBytes)
	return &History{cfg: cfg}
}

// Store copies a packet, as it was before protection. One that is larger than half of MaxBytes is not kept.
func (h *History) Store(now time.Time, seq uint16, pkt []byte) {
	if len(pkt) == 0 || len(pkt) > h.cfg.MaxBytes/2 {
		return
	}
	h.makeRoom(now, len(pkt))
	copy(h.bytes[h.head:], pkt)
	*h.packet(h.next) = storedPacket{seq: seq, at: h.head, n: len(pkt), storedAt: now}
	h.bySeq[int(seq)%len(h.bySeq)] = h.next
	h.next++
	h.head += len(pkt)
}

func (h *History) packet(number uint64) *storedPacket {
	return &h.stored[number%uint64(len(h.stored))]
}

// makeRoom drops the oldest packets, or grows while they are young, until there is a place for a packet of n bytes.
func (h *History) makeRoom(now time.Time, n int) {
	for len(h.stored) == 0 || h.next-h.oldest == uint64(len(h.stored)) || !h.fits(n) {
		empty := h.next == h.oldest
		if empty || now.Sub(h.packet(h.oldest).storedAt) < h.cfg.MinAge {
			if h.grow(n) {
				continue
			}
		}
		h.oldest++
	}
}

// fits says whether n bytes are free at head, after moving head to the front of the ring if the end is too near.
func (h *History) fits(n int) bool {
	if h.next == h.oldest {
		h.head = 0
		return n <= len(h.bytes)
	}
	tail := h.packet(h.oldest).at
	if h.head <= tail {
		return h.head+n <= tail
	}
	if h.head+n <= len(h.bytes) {
		return true
	}
	if n <= tail {
		h.head = 0
		return true
	}
	return false
}

// grow doubles what is short. It is false at the caps. An empty history can always grow to hold n bytes, since those are
// at most half of the cap.
func (h *History) grow(n int) bool {
	packets, size := max(len(h.stored), firstHistoryPackets), max(len(h.bytes), firstHistoryBytes)
	if len(h.stored) > 0 {
		if h.next-h.oldest == uint64(len(h.stored)) {
			packets *= 2
		} else {
			size = min(2*size, h.cfg.MaxBytes)
		}
	}
	for size < n {
		size = min(2*size, h.cfg.MaxBytes)
	}
	if packets > h.cfg.MaxPackets || packets == len(h.stored) && size == len(h.bytes) {
		return false
	}
	h.resize(packets, size)
	return true
}

func (h *History) resize(packets, size int) {
	old := *h
	h.stored, h.bySeq, h.bytes, h.head = make([]storedPacket, packets), make([]uint64, packets), make([]byte, size), 0
	for number := old.oldest; number < old.next; number++ {
		p := *old.packet(number)
		h.head += copy(h.bytes[h.head:], old.bytes[p.at:p.at+p.n])
		p.at = h.head - p.n
		*h.packet(number) = p
		h.bySeq[int(p.seq)%packets] = number
	}
}

func (h *History) find(seq uint16) *storedPacket {
	if len(h.bySeq) == 0 {
		return nil
	}
	number := h.bySeq[int(seq)%len(h.bySeq)]
	if number < h.oldest || number >= h.next {
		return nil
	}
	if p := h.packet(number); p.seq == seq {
		return p
	}
	return nil
}

// Get returns a packet, valid until the next Store, or nil if it is not there.
func (h *History) Get(seq uint16) []byte {
	p := h.find(seq)
	if p == nil {
		return nil
	}
	return h.bytes[p.at : p.at+p.n : p.at+p.n]
}

// Resend is Get for an answer to a NACK: it is nil as well if the packet was sent again less than a round trip ago, since
// the request may have crossed the answer. rtt zero: 10 ms.
func (h *History) Resend(now time.Time, seq uint16, rtt time.Duration) []byte {
	p := h.find(seq)
	if p == nil || !p.resentAt.IsZero() && now.Sub(p.resentAt) < max(rtt, 10*time.Millisecond) {
		return nil
	}
	p.resentAt = now
	return h.bytes[p.at : p.at+p.n : p.at+p.n]
}

// Len returns how many packets are kept, and Size how much memory their bytes have.
func (h *History) Len() int { return int(h.next - h.oldest) }

// Size returns how much memory is taken for packets, in bytes.
func (h *History) Size() int { return len(h.bytes) }

// NACKed calls resend for each sequence number that a generic NACK names.
func (p *RTCP) NACKed(resend func(seq uint16)) {
	for i := 0; ; i++ {
		pid, blp, ok := p.NACK(i)
		if !ok {
			return
		}
		resend(pid)
		for bit := range uint16(16) {
			if blp&(1<<bit) != 0 {
				resend(pid + 1 + bit)
			}
		}
	}
}
