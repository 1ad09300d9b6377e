//go:build !android

package netio

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a netlink message of a kind, whose body begins with a family and the
// length of a prefix.
func message(kind uint16, bits byte) []byte {
	m := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
	binary.NativeEndian.PutUint32(m, uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], kind)
	m[unix.SizeofNlMsghdr], m[unix.SizeofNlMsghdr+1] = unix.AF_INET, bits
	return m
}

func TestRoutesThatDoNotMatter(t *testing.T) {
	other, gone := message(unix.RTM_NEWROUTE, 24), message(unix.RTM_DELROUTE, 32)
	for _, c := range []struct {
		name   string
		packet []byte
		want   bool
	}{
		{"nothing", nil, false},
		{"another route", other, false},
		{"two of them", slices.Concat(other, gone), false},
		{"a default route", message(unix.RTM_NEWROUTE, 0), true},
		{"a default route that has gone", slices.Concat(gone, message(unix.RTM_DELROUTE, 0)), true},
		{"an address", message(unix.RTM_NEWADDR, 24), true},
		{"a link behind routes", slices.Concat(other, gone, message(unix.RTM_DELLINK, 24)), true},
		{"half a message", other[:18], true},
		{"a message without a body", message(unix.RTM_NEWROUTE, 24)[:16], true},
	} {
		if got := matters(c.packet); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
