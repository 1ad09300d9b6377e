package turn

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// splitAttributes cuts bytes into attributes: type, length, value.
func splitAttributes(raw []byte) (list []attribute) {
	for len(raw) > 3 && len(list) < 40 {
		n := min(int(raw[2]), len(raw)-3)
		list = append(list, attribute{stun.AttrType(raw[0])<<8 | stun.AttrType(raw[1]), raw[3 : 3+n]})
		raw = raw[3+n:]
	}
	return list
}

func fuzzSeeds(f *testing.F) {
	f.Helper()
	signed, _ := hex.DecodeString("000300902112a4420102030405060708090a0b0c0019000411000000001e0020cf9fa894dfc9b7680968aec1efb3a6b8b2a1cac25c0461cab3b0c2f87c25eeaf" +
		"0014000b6578616d706c652e6f726700001500166f624d61744a6f7332674141416e6f6e63652d6f6e650000001d000400020000800200080002000000010000" +
		"001c002096e0543436ff8a3e47cd6726e304d2a8517fb2ebb9b8512b11649f9109a63e24")
	f.Add(signed)
	f.Add([]byte("\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"))
	f.Add([]byte("\x40\x00\x00\x05hello\x00\x00\x00"))
	f.Add(Delivery{peer: peerAddr, id: 1}.Append(nil, []byte("data")))
	f.Add([]byte("\x00\x19\x04\x11\x00\x00\x00\x80\x00\x04\x02\x00\x00\x00\x00\x0d\x04\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x0c\x04\x40\x00\x00\x00\x00\x12\x08\x00\x01\x36\x62\x01\x12\xa4\x43"))
	f.Add([]byte("\x00\x09\x04\x00\x00\x04\x26\x00\x15\x01x\x00\x14\x01y\x80\x02\x04\x00\x02\x00\x00"))
	f.Add([]byte("\x00\x16\x08\x00\x01\x36\x62\x01\x12\xa4\x43\x00\x0d\x04\x00\x00\x02\x58"))
}

func FuzzServer(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, _ := allocated(t, nil)
		s.want("channel", s.request(stun.MethodChannelBind, number(0x4000), xorPeer(peerAddr)), 0)
		s.fuzz(raw)
		// The same inside what has credentials.
		list := splitAttributes(raw)
		for _, m := range []stun.Method{stun.MethodCreatePermission, stun.MethodChannelBind, stun.MethodRefresh, stun.MethodAllocate} {
			s.fuzz(s.signed(m, list...))
		}
		s.fuzz(s.message(sendIndication, list...).Raw)
		for _, a := range s.s.allocations {
			for addr := range a.permissions {
				if s.s.policy.judge(addr) == verdictDeny {
					t.Errorf("permission for %v", addr)
				}
			}
			for n, ch := range a.channels {
				if n < firstChannel || n > lastChannel || a.byPeer[ch.peer] != ch || ch.permission == nil {
					t.Errorf("channel %#x to %v", n, ch.peer)
				}
			}
		}
		s.now = s.now.Add(2 * time.Hour)
		s.s.Advance(s.now)
		s.work()
		if len(s.s.allocations)+len(s.s.relays)+len(s.s.byAddr)+len(s.s.accounts)+len(s.s.addresses)+len(s.socket) > 0 {
			t.Error("something is left")
		}
	})
}

// fuzz feeds a packet and lets what comes of it be.
func (s *script) fuzz(pkt []byte) {
	if f, ok, _ := s.s.HandlePacket(s.now, s.from, pkt); ok && f.Loop != 0 {
		s.s.Deliver(s.now, f.Loop, f.From, len(f.Payload))
	}
	s.work()
	for {
		if _, data, ok := s.s.Next(nil); !ok {
			return
		} else if !walk(data, func(stun.AttrType, []byte) bool { return true }) {
			s.t.Errorf("malformed answer %x", data)
		}
	}
}

func FuzzClient(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		k := newTalk(t, nil)
		_, _, _ = k.c.HandlePacket(k.now, raw)
		list := splitAttributes(raw)
		k.c.Allocate(k.now)
		first, _ := k.sent(stun.MethodAllocate)
		_ = k.reply(first, failure, nil, list...)
		if pkt, ok := k.c.Next(nil); ok {
			_ = k.reply(pkt, success, nil, list...)
			_ = k.reply(pkt, success, &k.c.key, list...)
		}
		k = newTalk(t, nil)
		k.allocated()
		if err := k.c.Bind(k.now, peerAddr); err != nil {
			t.Fatal(err)
		}
		_, _, _ = k.c.HandlePacket(k.now, raw)
		for range 5 {
			pkt, ok := k.c.Next(nil)
			if !ok {
				break
			}
			_ = k.reply(pkt, failure, md5Key, list...)
			_ = k.reply(pkt, success, md5Key, list...)
			k.advance(5 * time.Minute)
		}
		k.c.Close(k.now)
		k.advance(time.Minute)
		if k.c.State() != StateClosed {
			t.Errorf("state %v after Close", k.c.State())
		}
	})
}

// A stream gives the same messages however it is cut.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("\x40\x00\x00\x05hello\x00\x00\x00\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"), uint8(3))
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		whole, wholeErr := frames(raw, len(raw))
		cut, cutErr := frames(raw, int(step)+1)
		if (wholeErr == nil) != (cutErr == nil) || !bytes.Equal(whole, cut) || !bytes.HasPrefix(raw, whole) {
			t.Errorf("%x and %v, or %x and %v", whole, wholeErr, cut, cutErr)
		}
	})
}

// frames puts the frames of a stream together again.
func frames(raw []byte, step int) (all []byte, err error) {
	var f Framer
	for len(raw) > 0 && err == nil {
		n := copy(f.Space(), raw[:min(step, len(raw))])
		f.Put(n)
		raw = raw[n:]
		for {
			var frame []byte
			if frame, err = f.Next(); frame == nil {
				break
			}
			all = append(all, frame...)
		}
	}
	return all, err
}
