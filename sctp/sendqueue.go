package sctp

import "time"

// outMessage is a message that was accepted by Send and is not wholly acknowledged.
type outMessage struct {
	next       *outMessage // in the stream's queue, or in the free list
	stream     *outStream
	data       []byte // pooled
	sent       int    // bytes that have TSNs
	unacked    int    // fragments with TSNs that are not acknowledged cumulatively
	firstTSN   uint32
	mid        uint32 // SSN or MID; assigned with the first fragment
	fragments  uint32 // how many have TSNs
	ppid       uint32
	expires    tick  // zero: never
	maxResends int32 // negative: no limit
	unordered  bool
	uncounted  bool // not in the stream's buffered amount
	begun      bool
	committed  bool // counted in sendQueue.committed
	abandoned  bool
}

// outStream is the sending half of a stream. It exists from its first use on.
type outStream struct {
	id        uint16
	weight    uint16
	resetting bool // takes no more messages
	queued    bool // in the reset queue
	threshold int
	buffered  int // bytes without TSN
	messages  int // not wholly acknowledged
	nextSSN   uint32
	nextUMID  uint32 // of unordered I-DATA messages
	head      *outMessage
	tail      *outMessage

	// Scheduling (start-time fair queueing): the virtual time at which the stream's next fragment begins.
	start  uint64
	index  int  // in sendQueue.active, -1: not there
	parked bool // in sendQueue.parked
}

const (
	defaultWeight = 256
	// quantum is how much a stream sends in a row while nobody else comes: switching costs the receiver's caches.
	quantum = 16 << 10
	// parkAbove is the size of messages that may have to wait until others are finished.
	parkAbove = 16 << 10
	// virtualScale keeps the fractions of bytes divided by weight.
	virtualScale = 1 << 12
)

// sendQueue holds what has no TSN yet, and chooses whose turn it is: streams share by weight, and a stream that was silent
// gets its turn next.
type sendQueue struct {
	interleaving bool
	streams      map[uint16]*outStream
	last         *outStream
	active       []*outStream // a heap by start
	current      *outStream   // in the middle of a message that must not be interleaved
	virtual      uint64
	debt         int // bytes that active[0] has sent in its turn and is not charged for
	buffered     int
	freeMessages *outMessage
	pool         *bufferPool

	// With interleaving every stream could have a large message half sent, more together than the peer can hold: it could then
	// neither hand out nor take any. So unless it is alone, a large message begins only while those begun fit the budget, the
	// largest window that the peer has shown.
	committed int
	budget    int
	parked    []*outStream // wait for that
}

func (q *sendQueue) stream(id uint16) *outStream {
	if q.last != nil && q.last.id == id {
		return q.last
	}
	s := q.streams[id]
	if s == nil {
		if q.streams == nil {
			q.streams = make(map[uint16]*outStream)
		}
		s = &outStream{id: id, weight: defaultWeight, index: -1}
		q.streams[id] = s
	}
	q.last = s
	return s
}

// find is stream without making one.
func (q *sendQueue) find(id uint16) *outStream {
	if q.last != nil && q.last.id == id {
		return q.last
	}
	return q.streams[id]
}

func (q *sendQueue) forget(s *outStream) {
	if q.last == s {
		q.last = nil
	}
	delete(q.streams, s.id)
}

// push queues a copy of data.
func (q *sendQueue) push(s *outStream, now tick, ppid uint32, data []byte, o *SendOptions) {
	m := q.freeMessages
	if m == nil {
		m = new(outMessage)
	} else {
		q.freeMessages = m.next
	}
	*m = outMessage{stream: s, ppid: ppid, unordered: o.Unordered, uncounted: o.Uncounted, maxResends: -1, data: q.pool.get(len(data))}
	copy(m.data, data)
	switch o.Reliability {
	case LimitedRetransmits:
		m.maxResends = int32(o.MaxRetransmits)
	case LimitedLifetime:
		m.expires = now.after(max(o.Lifetime, time.Nanosecond))
	}
	if s.tail == nil {
		s.head = m
	} else {
		s.tail.next = m
	}
	s.tail = m
	s.messages++
	if !m.uncounted {
		s.buffered += len(data)
	}
	q.buffered += len(data)
	if s.index < 0 && q.current != s && !s.parked {
		q.activate(s)
	}
}

// free gives a message back that nothing refers to any more.
func (q *sendQueue) free(m *outMessage) {
	m.stream.messages--
	q.releaseData(m)
	*m = outMessage{next: q.freeMessages}
	q.freeMessages = m
}

func (q *sendQueue) releaseData(m *outMessage) {
	if m.data != nil {
		q.pool.put(m.data)
		m.data = nil
	}
}

// front is the message that the next fragment is taken from; nil: nothing is queued.
func (q *sendQueue) front() *outMessage {
	if q.current != nil {
		return q.current.head
	}
	for len(q.active) > 0 {
		s := q.active[0]
		m := s.head
		n := len(m.data)
		if m.begun || n <= parkAbove || q.committed == 0 || q.committed+n <= q.budget || !q.interleaving {
			return m
		}
		q.remove(s)
		s.parked = true
		q.parked = append(q.parked, s)
	}
	return nil
}

// finish takes a message out of the committed ones and lets those that waited try again.
func (q *sendQueue) finish(m *outMessage) {
	if !m.committed {
		return
	}
	m.committed = false
	q.committed -= len(m.data)
	for _, s := range q.parked {
		s.parked = false
		if s.head != nil {
			q.activate(s)
		}
	}
	clear(q.parked)
	q.parked = q.parked[:0]
}

// took notes that n bytes of the front message have got a TSN, and reports whether the buffered amount crossed its threshold.
func (q *sendQueue) took(m *outMessage, n int) (low bool) {
	s := m.stream
	if q.current == nil {
		q.virtual = s.start
		q.debt += n + dataHeaderSize
	} else {
		s.charge(n + dataHeaderSize)
	}
	m.sent += n
	low = q.unbuffer(m, n)
	switch {
	case m.sent == len(m.data):
		q.unlink(s)
	case !q.interleaving && q.current == nil:
		q.remove(s)
		q.current = s
	case q.interleaving && !m.committed:
		m.committed = true
		q.committed += len(m.data)
	}
	if q.debt >= quantum {
		q.settle()
	}
	return low
}

// charge moves a stream's turn by n bytes.
func (s *outStream) charge(n int) {
	s.start += uint64(n) * virtualScale / uint64(s.weight)
}

// settle charges the stream in front for what it has sent, and lets the next one have its turn.
func (q *sendQueue) settle() {
	if q.debt > 0 && len(q.active) > 0 {
		q.active[0].charge(q.debt)
		q.debt = 0
		q.down(0)
	}
}

func (q *sendQueue) unbuffer(m *outMessage, n int) (low bool) {
	q.buffered -= n
	if m.uncounted {
		return false
	}
	s := m.stream
	above := s.buffered > s.threshold
	s.buffered -= n
	return above && s.buffered <= s.threshold
}

// drop takes the front message m of its stream out of the queue without sending the rest.
func (q *sendQueue) drop(m *outMessage) (low bool) {
	low = q.unbuffer(m, len(m.data)-m.sent)
	q.unlink(m.stream)
	return low
}

// unlink removes the first message of a stream's queue and files the stream anew.
func (q *sendQueue) unlink(s *outStream) {
	m := s.head
	s.head, m.next = m.next, nil
	if s.head == nil {
		s.tail = nil
	}
	defer q.finish(m)
	if q.current == s {
		q.current = nil
		if s.head != nil {
			q.activate(s)
		}
		return
	}
	if s.head == nil {
		q.remove(s)
	}
}

// activate puts a stream into the heap; it begins no earlier than the present virtual time.
func (q *sendQueue) activate(s *outStream) {
	q.settle()
	s.start = max(s.start, q.virtual)
	s.index = len(q.active)
	q.active = append(q.active, s)
	q.up(s.index)
}

func (q *sendQueue) remove(s *outStream) {
	i := s.index
	if i < 0 {
		return
	}
	if i == 0 {
		s.charge(q.debt)
		q.debt = 0
	}
	n := len(q.active) - 1
	q.swap(i, n)
	q.active[n] = nil
	q.active = q.active[:n]
	s.index = -1
	if i < n {
		q.down(i)
		q.up(i)
	}
}

func (q *sendQueue) swap(i, j int) {
	q.active[i], q.active[j] = q.active[j], q.active[i]
	q.active[i].index, q.active[j].index = i, j
}

// before orders streams by their turns; at the same time the heavier goes first.
func (s *outStream) before(t *outStream) bool {
	return s.start < t.start || s.start == t.start && s.weight > t.weight
}

func (q *sendQueue) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !q.active[i].before(q.active[p]) {
			return
		}
		q.swap(i, p)
		i = p
	}
}

func (q *sendQueue) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(q.active) {
			return
		}
		if c+1 < len(q.active) && q.active[c+1].before(q.active[c]) {
			c++
		}
		if !q.active[c].before(q.active[i]) {
			return
		}
		q.swap(i, c)
		i = c
	}
}

// clear drops everything queued, at the end of the association.
func (q *sendQueue) clear() {
	*q = sendQueue{pool: q.pool}
}

func (q *sendQueue) trim() { q.freeMessages = nil }
