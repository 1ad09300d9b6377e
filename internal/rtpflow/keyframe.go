package rtpflow

import "time"

// KeyFrameRequester decides when a request for a key frame goes out: many reasons (a lost packet, a new subscriber, an
// application's PLI) make one request a round trip. The zero value is ready.
type KeyFrameRequester struct {
	// MinInterval is the least time between two requests. Zero: 100 ms; the round-trip time, if longer.
	MinInterval time.Duration
	rtt         time.Duration
	wanted      bool
	sentAt      time.Time
	firSequence uint8
}

// SetRTT says how long an answer takes.
func (k *KeyFrameRequester) SetRTT(rtt time.Duration) { k.rtt = rtt }

// Request asks for a key frame.
func (k *KeyFrameRequester) Request() { k.wanted = true }

// Arrived says that a key frame has come: a request that has not been sent yet is pointless.
func (k *KeyFrameRequester) Arrived() { k.wanted = false }

func (k *KeyFrameRequester) earliest() time.Time {
	interval := k.MinInterval
	if interval == 0 {
		interval = 100 * time.Millisecond
	}
	if k.sentAt.IsZero() {
		return k.sentAt
	}
	return k.sentAt.Add(max(interval, k.rtt))
}

// Deadline returns when Take may be worth a call; zero: not before the next Request. It may lie in the past.
func (k *KeyFrameRequester) Deadline(now time.Time) time.Time {
	if !k.wanted {
		return time.Time{}
	}
	if t := k.earliest(); t.After(now) {
		return t
	}
	return now
}

// Take says whether a request is to be sent now, as PLI or as FIR with the sequence number (RFC 5104 §4.3.1.2: one more
// for each new request).
func (k *KeyFrameRequester) Take(now time.Time) (firSequence uint8, ok bool) {
	if !k.wanted || now.Before(k.earliest()) {
		return 0, false
	}
	k.wanted, k.sentAt = false, now
	k.firSequence++
	return k.firSequence, true
}

// FIRFilter tells new full intra requests from repetitions (RFC 5104 §4.3.1.2). It remembers the last eight requesters.
// The zero value is ready.
type FIRFilter struct {
	requesters [8]firRequester
	next       int
}

type firRequester struct {
	ssrc  uint32
	seq   uint8
	known bool
}

// Accept says whether a request is a new one.
func (f *FIRFilter) Accept(requester uint32, seq uint8) bool {
	for i := range f.requesters {
		r := &f.requesters[i]
		if r.known && r.ssrc == requester {
			fresh := r.seq != seq
			r.seq = seq
			return fresh
		}
	}
	f.requesters[f.next] = firRequester{requester, seq, true}
	f.next = (f.next + 1) % len(f.requesters)
	return true
}
