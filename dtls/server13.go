package dtls

import "time"

func (c *Conn) server13Retry(now time.Time, m message, ch *clientHello, p parameters) error {
	return nil
}
func (c *Conn) server13HelloAgain(now time.Time, m message, ch *clientHello, p parameters) error {
	return nil
}
func (c *Conn) server13Flight(now time.Time, m message, ch *clientHello, p parameters) error {
	return nil
}
func (c *Conn) server13Certificate(now time.Time, m message) error { return nil }
func (c *Conn) server13Verify(now time.Time, m message) error      { return nil }
func (c *Conn) server13Finished(now time.Time, m message) error    { return nil }
