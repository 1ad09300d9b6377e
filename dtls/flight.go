package dtls

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// outMessage is a message of the flight, or a ChangeCipherSpec, whose raw is nil. It is always sent in the epoch it belongs to.
type outMessage struct {
	epoch *writeEpoch
	raw   []byte
	acked bitmap
}

func (m *outMessage) ccs() bool { return m.raw == nil }

func (m *outMessage) header() fragmentHeader {
	s := cryptobyte.String(m.raw)
	h, _, _ := readFragment(&s)
	return h
}

// place is a byte of a flight: a message and an offset in its body.
type place struct{ msg, off int }

// sentRecord remembers which part of the flight a record carried, for the peer's ACK.
type sentRecord struct {
	number   recordNumber
	from, to place
}

// maxSentRecords is how many records are remembered for an ACK; a flight with ML-KEM at the smallest MTU has about thirty.
const maxSentRecords = 64

// flight is what is being said, until the peer is known to have heard it.
type flight struct {
	messages []outMessage
	cursor   place // what goes out next; past the last message: nothing
	sent     []sentRecord
	track    bool // remember records for ACKs
	final    bool // kept only for being asked again (DTLS 1.2)
}

func (f *flight) clear() { *f = flight{track: f.track, sent: f.sent[:0]} }

func (f *flight) empty() bool { return len(f.messages) == 0 }

// unsent says whether a part of the flight waits to be transmitted.
func (f *flight) unsent() bool { return f.cursor.msg < len(f.messages) }

// rewind sends the flight again from the start, except what was acknowledged.
func (f *flight) rewind() {
	f.cursor = place{}
	f.skipAcked()
}

func (f *flight) park() { f.cursor = place{msg: len(f.messages)} }

func (f *flight) add(epoch *writeEpoch, raw []byte) {
	m := outMessage{epoch: epoch, raw: raw}
	if raw != nil {
		m.acked = newBitmap(len(raw) - messageHeaderLen)
	}
	f.messages = append(f.messages, m)
}

func (f *flight) skipAcked() {
	for f.unsent() {
		m := &f.messages[f.cursor.msg]
		if m.ccs() {
			return
		}
		if start, _ := m.acked.nextClear(f.cursor.off); start < m.acked.size {
			return
		}
		f.cursor = place{msg: f.cursor.msg + 1}
	}
}

// packet fills buf with records of the flight and returns how many bytes it used.
func (f *flight) packet(buf []byte) (int, error) {
	total := 0
	for f.unsent() {
		n, err := f.record(buf[total:])
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		total += n
		f.skipAcked()
	}
	return total, nil
}

// record writes one record: as many fragments of one epoch as fit. In the clear there is one message a record, which is what older peers can
// read.
func (f *flight) record(buf []byte) (int, error) {
	first := &f.messages[f.cursor.msg]
	epoch := first.epoch
	front, back := epoch.prot.overhead()
	room := min(len(buf)-front-back, maxPlaintext)
	if first.ccs() {
		if room < 1 {
			return 0, nil
		}
		buf[front] = 1
		rec, err := epoch.seal(buf, front, 1, contentChangeCipherSpec)
		f.cursor = place{msg: f.cursor.msg + 1}
		return len(rec), err
	}
	if room <= messageHeaderLen {
		return 0, nil
	}
	from := f.cursor
	content := buf[front : front : front+room]
	for f.unsent() {
		m := &f.messages[f.cursor.msg]
		if m.ccs() || m.epoch != epoch || f.cursor.msg != from.msg && epoch.prot == nil {
			break
		}
		var more bool
		if content, more = f.fragment(content, m); !more {
			break
		}
	}
	if len(content) == 0 {
		return 0, nil
	}
	number := recordNumber{epoch.epoch, epoch.seq}
	rec, err := epoch.seal(buf, front, len(content), contentHandshake)
	if err == nil {
		f.remember(sentRecord{number, from, f.cursor})
	}
	return len(rec), err
}

// fragment appends what of a message was not acknowledged and moves the cursor. more: the message is through and there may be room for the next.
func (f *flight) fragment(content []byte, m *outMessage) (_ []byte, more bool) {
	h := m.header()
	for {
		start, end := m.acked.nextClear(f.cursor.off)
		if start == end {
			f.cursor = place{msg: f.cursor.msg + 1}
			return content, true
		}
		room := cap(content) - len(content) - messageHeaderLen
		if room < 1 {
			return content, false
		}
		todo := min(end-start, room)
		h.offset, h.fragLen = start, min(todo, h.length-start)
		content = h.append(content)
		body := m.raw[messageHeaderLen+start:]
		content = append(content, body[:h.fragLen]...)
		f.cursor.off = start + todo
		if todo < end-start {
			return content, false
		}
	}
}

func (f *flight) remember(r sentRecord) {
	if !f.track {
		return
	}
	if len(f.sent) == maxSentRecords {
		f.sent = slices.Delete(f.sent, 0, 1)
	}
	f.sent = append(f.sent, r)
}

// ack marks what a record carried as received.
func (f *flight) ack(n recordNumber) {
	i := slices.IndexFunc(f.sent, func(r sentRecord) bool { return r.number == n })
	if i < 0 {
		return
	}
	r := f.sent[i]
	f.sent = slices.Delete(f.sent, i, i+1)
	for msg := r.from.msg; msg <= r.to.msg && msg < len(f.messages); msg++ {
		m := &f.messages[msg]
		start, end := 0, m.acked.size
		if msg == r.from.msg {
			start = r.from.off
		}
		if msg == r.to.msg {
			end = r.to.off
		}
		m.acked.mark(start, end)
	}
}

func (f *flight) acked() bool {
	for i := range f.messages {
		if !f.messages[i].acked.full() {
			return false
		}
	}
	return true
}
