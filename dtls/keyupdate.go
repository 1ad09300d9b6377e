package dtls

import "time"

type keyUpdate struct{}

func (c *Conn) handlePostHandshake(now time.Time, m message) error { return unexpected(m) }
func (c *Conn) flightAcked(now time.Time) error                    { return nil }
