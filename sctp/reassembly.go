package sctp

import "slices"

const (
	// fragmentCharge is what a fragment costs beyond its bytes while it waits, and messageCharge what a message costs once it
	// was handed out: a peer that sends millions of tiny ones must run out of window before we run out of memory.
	fragmentCharge = 64
	messageCharge  = 128
)

// fragment is the payload of one data chunk, in a pooled buffer.
type fragment struct {
	next *fragment
	buf  []byte
}

// run is a row of consecutive fragments of one message; complete when it has both ends.
type run struct {
	mid         uint32 // SSN or MID; 0 for unordered DATA
	first, last uint32 // TSN (DATA) or FSN (I-DATA)
	begin, end  bool
	ppid        uint32
	bytes       int
	count       int
	head, tail  *fragment
}

func (r *run) complete() bool { return r.begin && r.end }

// inStream is the receiving half of a stream. It exists from its first message on.
type inStream struct {
	id      uint16
	listed  bool // in reassembly.loose
	nextMID uint32
	// ordered and unordered hold the runs that cannot be handed out yet, ascending by (mid, first).
	ordered, unordered []*run
}

// ready is a message that waits for Receive.
type ready struct {
	stream    uint16
	unordered bool
	ppid      uint32
	bytes     int
	count     int
	head      *fragment
	serial    uint64
}

// reassembly puts fragments together and messages in order.
type reassembly struct {
	interleaving bool
	maxMessage   int
	pool         *bufferPool
	serial       uint64 // counts messages and the association's events, to tell which came first
	streams      map[uint16]*inStream
	last         *inStream // of the last chunk, to spare the map
	ready        ring[ready]
	// loose lists the streams that have, or had, unordered runs: FORWARD TSN names no stream for them.
	loose []*inStream

	held       int // charge of everything in here
	incomplete int // the part of held that cannot be handed out

	freeFragments *fragment
	freeRuns      []*run
}

func newReassembly(pool *bufferPool, maxMessage int) reassembly {
	return reassembly{pool: pool, maxMessage: maxMessage}
}

func (q *reassembly) stream(id uint16) *inStream {
	if q.last != nil && q.last.id == id {
		return q.last
	}
	s := q.streams[id]
	if s == nil {
		if q.streams == nil {
			q.streams = make(map[uint16]*inStream)
		}
		s = &inStream{id: id}
		q.streams[id] = s
	}
	q.last = s
	return s
}

// midLess compares SSNs or MIDs.
func (q *reassembly) midLess(a, b uint32) bool {
	if q.interleaving {
		return tsnLess(a, b)
	}
	return ssnLess(uint16(a), uint16(b))
}

func (q *reassembly) midNext(a uint32) uint32 {
	if q.interleaving {
		return a + 1
	}
	return uint32(uint16(a + 1))
}

// add takes one data chunk whose TSN is new. It reports false when the message grew beyond the limit.
func (q *reassembly) add(d *dataChunk) bool {
	if len(d.payload) > q.maxMessage {
		return false
	}
	s := q.stream(d.stream)
	unordered := d.flags&flagUnordered != 0
	whole := d.flags&(flagBegin|flagEnd) == flagBegin|flagEnd
	if unordered && whole {
		q.deliver(s, d.ppid, true, q.fragment(d.payload), len(d.payload), 1)
		return true
	}
	if !unordered {
		if q.midLess(d.mid, s.nextMID) {
			return true // an old message again: not ours to deliver
		}
		if whole && d.mid == s.nextMID && len(s.ordered) == 0 {
			q.deliver(s, d.ppid, false, q.fragment(d.payload), len(d.payload), 1)
			s.nextMID = q.midNext(s.nextMID)
			return true
		}
		r := q.insert(&s.ordered, d)
		q.drainOrdered(s)
		return r == nil || r.bytes <= q.maxMessage
	}
	mid := d.mid
	if !q.interleaving {
		d.mid = 0 // the SSN of an unordered DATA chunk means nothing (RFC 9260 section 6.6)
	}
	r := q.insert(&s.unordered, d)
	d.mid = mid
	if r == nil {
		return true
	}
	if r.complete() {
		i := slices.Index(s.unordered, r)
		s.unordered = slices.Delete(s.unordered, i, i+1)
		q.deliverRun(s, r, true)
		return true
	}
	if !s.listed {
		s.listed = true
		q.loose = append(q.loose, s)
	}
	return r.bytes <= q.maxMessage
}

// fragment copies a payload and charges it.
func (q *reassembly) fragment(payload []byte) *fragment {
	f := q.freeFragments
	if f == nil {
		f = new(fragment)
	} else {
		q.freeFragments = f.next
		f.next = nil
	}
	f.buf = q.pool.get(len(payload))
	copy(f.buf, payload)
	q.held += len(payload) + fragmentCharge
	return f
}

// release frees a chain of fragments and takes their charge off.
func (q *reassembly) release(f *fragment) {
	for f != nil {
		next := f.next
		q.held -= len(f.buf) + fragmentCharge
		q.pool.put(f.buf)
		f.buf, f.next = nil, q.freeFragments
		q.freeFragments = f
		f = next
	}
}

// position returns the index of the first run behind (mid, seq).
func (q *reassembly) position(runs []*run, mid, seq uint32) int {
	lo, hi := 0, len(runs)
	if hi > 0 && !q.before(mid, seq, runs[hi-1]) {
		return hi
	}
	for lo < hi {
		m := (lo + hi) / 2
		if q.before(mid, seq, runs[m]) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

func (q *reassembly) before(mid, seq uint32, r *run) bool {
	if mid != r.mid {
		return q.midLess(mid, r.mid)
	}
	return tsnLess(seq, r.first)
}

// insert files a fragment among runs, joining neighbours; nil: it was a repetition, or contradicts what is there.
func (q *reassembly) insert(runs *[]*run, d *dataChunk) *run {
	i := q.position(*runs, d.mid, d.seq)
	begin, end := d.flags&flagBegin != 0, d.flags&flagEnd != 0
	var r *run
	if i > 0 {
		if p := (*runs)[i-1]; p.mid == d.mid && (q.interleaving || !p.end) {
			if tsnLessEq(d.seq, p.last) {
				return nil
			}
			if p.last+1 == d.seq && !p.end && !begin {
				r = p
			}
		}
	}
	cost := len(d.payload) + fragmentCharge
	f := q.fragment(d.payload)
	q.incomplete += cost
	if r != nil {
		r.tail.next, r.tail = f, f
		r.last, r.end = d.seq, end
		r.bytes += len(d.payload)
		r.count++
	} else {
		r = q.newRun()
		*r = run{mid: d.mid, first: d.seq, last: d.seq, begin: begin, end: end, ppid: d.ppid, bytes: len(d.payload), count: 1, head: f, tail: f}
		*runs = slices.Insert(*runs, i, r)
		i++
	}
	if i < len(*runs) {
		if n := (*runs)[i]; n.mid == r.mid && r.last+1 == n.first && !r.end && !n.begin {
			r.join(n)
			*runs = slices.Delete(*runs, i, i+1)
			q.freeRuns = append(q.freeRuns, n)
		}
	}
	return r
}

// join appends the fragments of n.
func (r *run) join(n *run) {
	r.tail.next, r.tail = n.head, n.tail
	r.last, r.end = n.last, n.end
	r.bytes += n.bytes
	r.count += n.count
	*n = run{}
}

func (q *reassembly) newRun() *run {
	if k := len(q.freeRuns) - 1; k >= 0 {
		r := q.freeRuns[k]
		q.freeRuns = q.freeRuns[:k]
		return r
	}
	return new(run)
}

// drainOrdered hands out the ordered messages whose turn has come.
func (q *reassembly) drainOrdered(s *inStream) {
	n := 0
	for n < len(s.ordered) && s.ordered[n].mid == s.nextMID && s.ordered[n].complete() {
		q.deliverRun(s, s.ordered[n], false)
		s.nextMID = q.midNext(s.nextMID)
		n++
	}
	if n > 0 {
		s.ordered = slices.Delete(s.ordered, 0, n)
	}
}

func (q *reassembly) deliverRun(s *inStream, r *run, unordered bool) {
	q.incomplete -= r.bytes + r.count*fragmentCharge
	q.deliver(s, r.ppid, unordered, r.head, r.bytes, r.count)
	*r = run{}
	q.freeRuns = append(q.freeRuns, r)
}

func (q *reassembly) deliver(s *inStream, ppid uint32, unordered bool, head *fragment, bytes, count int) {
	q.serial++
	q.ready.push(ready{stream: s.id, unordered: unordered, ppid: ppid, bytes: bytes, count: count, head: head, serial: q.serial})
}

// discard frees an unfinished run.
func (q *reassembly) discard(r *run) {
	q.incomplete -= r.bytes + r.count*fragmentCharge
	q.release(r.head)
	*r = run{}
	q.freeRuns = append(q.freeRuns, r)
}

// forwardLoose drops the unordered fragments that can never become whole, because a neighbour is at or below cum and not here
// (RFC 3758 section 3.6); DATA only.
func (q *reassembly) forwardLoose(cum uint32) {
	kept := q.loose[:0]
	for _, s := range q.loose {
		s.unordered = slices.DeleteFunc(s.unordered, func(r *run) bool {
			if (r.begin || tsnLess(cum, r.first-1)) && (r.end || tsnLess(cum, r.last+1)) {
				return false
			}
			q.discard(r)
			return true
		})
		if len(s.unordered) > 0 {
			kept = append(kept, s)
		} else {
			s.listed = false
		}
	}
	clear(q.loose[len(kept):])
	q.loose = kept
}

// forward skips the messages of a stream up to mid: complete ones are handed out, the rest is dropped.
func (q *reassembly) forward(e forwardEntry) {
	s := q.stream(e.stream)
	if e.unordered {
		s.unordered = slices.DeleteFunc(s.unordered, func(r *run) bool {
			if q.midLess(e.mid, r.mid) {
				return false
			}
			q.discard(r)
			return true
		})
		return
	}
	if q.midLess(e.mid, s.nextMID) {
		return
	}
	n := 0
	for n < len(s.ordered) && !q.midLess(e.mid, s.ordered[n].mid) {
		if r := s.ordered[n]; r.complete() {
			q.deliverRun(s, r, false)
		} else {
			q.discard(r)
		}
		n++
	}
	s.ordered = slices.Delete(s.ordered, 0, n)
	s.nextMID = q.midNext(e.mid)
	q.drainOrdered(s)
}

// reset begins a stream anew (RFC 6525 section 5.2.2); what was unfinished is dropped, what is ready stays ready.
func (q *reassembly) reset(id uint16) {
	s := q.streams[id]
	if s == nil {
		return
	}
	for _, r := range s.ordered {
		q.discard(r)
	}
	for _, r := range s.unordered {
		q.discard(r)
	}
	s.ordered, s.unordered = nil, nil
	s.nextMID = 0
	if q.last == s {
		q.last = nil
	}
	q.loose = slices.DeleteFunc(q.loose, func(l *inStream) bool { return l == s })
	delete(q.streams, id)
}

// take copies the next message into alloc(n).
func (q *reassembly) take(alloc func(n int) []byte) (Message, bool) {
	if q.ready.len() == 0 {
		return Message{}, false
	}
	r := q.ready.pop()
	m := Message{Stream: r.stream, PPID: r.ppid, Unordered: r.unordered, Charge: r.bytes + messageCharge}
	m.Data = alloc(r.bytes)[:r.bytes]
	n := 0
	for f := r.head; f != nil; f = f.next {
		n += copy(m.Data[n:], f.buf)
	}
	q.release(r.head)
	return m, true
}

// trim gives the free lists back.
func (q *reassembly) trim() {
	q.freeFragments, q.freeRuns = nil, nil
	q.ready.trim()
}
