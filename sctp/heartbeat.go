package sctp

import (
	"encoding/binary"
	"time"
)

// heartbeat watches an idle association (RFC 9260 section 8.3), and is the moment to give memory back.
type heartbeat struct {
	interval time.Duration
	deadline tick
	last     tick   // when something was heard from the peer
	nonce    uint64 // of the heartbeat that is out, zero: none
}

// settleTime is how long after the set-up an association is looked at for the first time.
const settleTime = time.Second

func (h *heartbeat) start(now tick, interval time.Duration) {
	h.last = now
	if interval > 0 {
		h.interval = interval
		h.deadline = now.after(min(interval, settleTime)) // a first look: what the set-up needed is given back
	}
}

func (h *heartbeat) heard(now tick) { h.last = now }

// advanceHeartbeat sends one when nothing was heard for an interval, and counts the last one as lost when it got no answer.
func (a *Association) advanceHeartbeat() {
	h := &a.heartbeat
	if !h.deadline.due(a.now) {
		return
	}
	idle := a.out.len() == 0 && a.queue.front() == nil
	if idle {
		a.trim()
	}
	if next := h.last.after(h.interval); next > a.now || !idle {
		// Section 8.3: a path that carries data needs none.
		h.deadline = max(next, a.now.after(h.interval/2))
		return
	}
	if h.nonce != 0 && a.failed() {
		return
	}
	h.nonce = uint64(a.now)
	h.deadline = a.now.after(h.interval)
	a.queueControl(appendHeartbeat(nil, h.nonce))
}

// appendHeartbeat encodes a heartbeat whose information is when it left.
func appendHeartbeat(b []byte, nonce uint64) []byte {
	var info [8]byte
	binary.BigEndian.PutUint64(info[:], nonce)
	return appendChunk(b, typeHeartbeat, 0, appendParam(nil, paramHeartbeatInfo, info[:]))
}

// handleHeartbeat reflects the chunk as it came.
func (a *Association) handleHeartbeat(c chunk) error {
	if a.phase < phaseCookieEchoed {
		a.stats.Dropped.Unexpected++
		return errUnexpected
	}
	if len(c.value)+chunkHeaderSize+headerSize <= a.path.MTU {
		a.queueControl(appendChunk(nil, typeHeartbeatAck, 0, c.value))
	}
	return nil
}

func (a *Association) handleHeartbeatAck(c chunk) error {
	p, _, err := nextParam(c.value)
	if err != nil || p.typ != paramHeartbeatInfo || len(p.value) != 8 {
		a.stats.Dropped.ChunkFormat++
		return errParamLength
	}
	nonce := binary.BigEndian.Uint64(p.value)
	switch {
	case nonce == a.mtu.nonce && nonce != 0:
		a.mtuProbed()
	case nonce == a.heartbeat.nonce && nonce != 0:
		a.heartbeat.nonce = 0
	default:
		return nil
	}
	a.errors = 0
	if a.out.flight == 0 {
		a.rtt.sample((a.now - tick(nonce)).duration())
	}
	return nil
}

// trim gives the memory of free lists back: an idle association is small.
func (a *Association) trim() {
	a.pool.trim()
	a.inbox.trim()
	a.queue.trim()
	a.out.trim()
	a.controls.trim()
	a.singles.trim()
	a.events.trim()
	a.gaps, a.gapsNext, a.forwardList = nil, nil, nil
}
