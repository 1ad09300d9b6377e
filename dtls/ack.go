package dtls

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// recordNumber is what an ACK names (RFC 9147 §7).
type recordNumber struct{ epoch, seq uint64 }

const (
	recordNumberLen = 16
	// maxACKRecords is how many records an ACK can name; the latest win.
	maxACKRecords = 32
)

// ackList collects the records that the peer should hear about.
type ackList struct {
	numbers []recordNumber
	started time.Time // the delay; zero: not running
	due     bool
}

func (a *ackList) push(n recordNumber) {
	if slices.Contains(a.numbers, n) {
		return
	}
	if len(a.numbers) == maxACKRecords {
		a.numbers = slices.Delete(a.numbers, 0, 1)
	}
	a.numbers = append(a.numbers, n)
}

func (a *ackList) clear() {
	a.numbers, a.started, a.due = a.numbers[:0], time.Time{}, false
}

// schedule asks for an ACK at once.
func (a *ackList) schedule() {
	a.started = time.Time{}
	a.due = len(a.numbers) > 0
}

// append writes the content of an ACK of at most room bytes: the latest records, in order.
func (a *ackList) append(b []byte, room int) []byte {
	n := min(len(a.numbers), (room-2)/recordNumberLen)
	if n <= 0 {
		return b
	}
	latest := slices.Clone(a.numbers[len(a.numbers)-n:])
	slices.SortFunc(latest, func(x, y recordNumber) int {
		return cmp.Or(cmp.Compare(x.epoch, y.epoch), cmp.Compare(x.seq, y.seq))
	})
	b = binary.BigEndian.AppendUint16(b, uint16(n*recordNumberLen))
	for _, r := range latest {
		b = binary.BigEndian.AppendUint64(b, r.epoch)
		b = binary.BigEndian.AppendUint64(b, r.seq)
	}
	return b
}

// parseACK calls each for every record that an ACK names.
func parseACK(body []byte, each func(recordNumber) error) error {
	s := cryptobyte.String(body)
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() || len(list)%recordNumberLen != 0 {
		return fatal(AlertDecodeError, "malformed ACK")
	}
	for !list.Empty() {
		var n recordNumber
		if !list.ReadUint64(&n.epoch) || !list.ReadUint64(&n.seq) {
			return errDecode
		}
		if err := each(n); err != nil {
			return err
		}
	}
	return nil
}
