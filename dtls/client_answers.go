package dtls

import (
	"bytes"
	"time"
)

// Answers to a ClientHello are not authenticated, and a server that was asked by a forger as well sends its answers to the forger's
// hello here, too. So a client keeps different answers to its first hello and goes from one to another until something
// has proved that the one it took was meant for it.

// maxAnswers is how many are kept.
const maxAnswers = 4

// open says whether a client has not yet seen such a proof.
func (s step) open() bool {
	switch s {
	case stepClientServerHello, stepClient12Certificate, stepClient12KeyExchange, stepClient13Extensions:
		return true
	}
	return false
}

// noteAnswer remembers the answer that was taken first.
func (c *Conn) noteAnswer(m message) {
	if c.cfg.Role == RoleClient && c.hs != nil && m.seq == 0 {
		c.hs.answers = append(c.hs.answers, m.raw)
	}
}

// takeAnswerAgain collects the fragments of an answer that comes after the first one, and takes it if it is new.
func (c *Conn) takeAnswerAgain(now time.Time, h fragmentHeader, body []byte) error {
	hs := c.hs
	if h.length > maxMessageLen || len(hs.answers) == maxAnswers || !hs.step.open() {
		return nil
	}
	for _, raw := range hs.answers {
		if repeats(raw, h, body) {
			return nil
		}
	}
	c.again.add(h, body, 0)
	m, ok := c.again.peek()
	if !ok {
		return nil
	}
	c.again.reject()
	hs.answers = append(hs.answers, m.raw)
	return c.switchAnswer(now, len(hs.answers)-1)
}

// nextAnswer tries another answer after a timeout, if there is one.
func (c *Conn) nextAnswer(now time.Time) {
	hs := c.hs
	if hs == nil || c.authenticated || len(hs.answers) < 2 || !hs.step.open() {
		return
	}
	// An answer that is no good is as if it had not come.
	_ = c.switchAnswer(now, (hs.current+1)%len(hs.answers))
}

// switchAnswer goes back to the first ClientHello and on with another answer. The timer goes on as it was.
func (c *Conn) switchAnswer(now time.Time, i int) error {
	c.stats.Restarts++
	timer := c.timer
	hs := *c.hs.first
	hs.first, hs.answers, hs.current = c.hs.first, c.hs.answers, i
	c.hs, c.sendSeq = &hs, 1
	c.forget()
	c.flight.add(c.plain, hs.helloRaw)
	c.flight.park()
	raw := bytes.Clone(hs.answers[i])
	err := c.handleFirst(now, parseMessage(raw))
	c.timer = timer
	return err
}
