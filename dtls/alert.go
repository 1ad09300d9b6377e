package dtls

import "time"

const (
	levelWarning = 1
	levelFatal   = 2
)

// alertQueue is the one alert that waits to be sent.
type alertQueue struct {
	alert  Alert
	queued bool
}

func (q *alertQueue) push(a Alert) { *q = alertQueue{alert: a, queued: true} }

func (q *alertQueue) content() [2]byte {
	level := byte(levelFatal)
	if q.alert == AlertCloseNotify || q.alert == AlertUserCanceled {
		level = levelWarning
	}
	return [2]byte{level, byte(q.alert)}
}

// takeAlert handles an alert. In the clear anybody could have sent it: it is counted, and suspected of being true.
func (c *Conn) takeAlert(now time.Time, r *readEpoch, plain []byte) error {
	if len(plain) != 2 {
		err := fatal(AlertDecodeError, "malformed alert")
		c.judge(now, r.prot != nil, err)
		return err
	}
	level, alert := plain[0], Alert(plain[1])
	if level != levelWarning && level != levelFatal {
		err := fatal(AlertIllegalParameter, "alert of level %d", level)
		c.judge(now, r.prot != nil, err)
		return err
	}
	err := error(&AlertError{Alert: alert, Remote: true})
	switch {
	case r.prot == nil:
		c.stats.DroppedAlerts++
		if level == levelFatal || alert == AlertCloseNotify {
			c.judge(now, false, err)
		}
	case alert == AlertCloseNotify:
		// It is answered with the same (RFC 5246 §7.2.1).
		c.Close(now)
		return nil
	case c.ignorable(level, alert):
		c.warnings++
		if c.warnings > maxWarnings {
			err = fatal(AlertDecodeError, "too many warning alerts")
			c.fail(err)
		}
	default:
		c.fail(err)
	}
	return err
}

// ignorable: in DTLS 1.3 the level means nothing (RFC 8446 §6).
func (c *Conn) ignorable(level byte, alert Alert) bool {
	return level == levelWarning && (c.version == VersionDTLS12 || alert == AlertUserCanceled)
}
