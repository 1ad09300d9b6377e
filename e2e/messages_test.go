package e2e

import (
	"context"
	"errors"
	"testing"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/e2e/browser"
	"github.com/openparley/webrtc/e2e/lab"
)

// TestMessageSizes sends messages of many sizes to each browser, as text and as binary, and wants the same bytes back: none,
// few, those around what fits into one packet of any size on the path, and up to the largest that the browser takes. One
// byte more is an error here, and leaves the channel as it was.
func TestMessageSizes(t *testing.T) {
	lab.Alone(t)
	const chromiumLimit, firefoxLimit = 262144, 1073741823
	for _, tc := range []struct {
		kind  browser.Kind
		limit int
		large []int
	}{
		{browser.Chromium, chromiumLimit, []int{chromiumLimit - 1, chromiumLimit}},
		{browser.Firefox, firefoxLimit, []int{262143, 262144, 262145, 1 << 20, 3<<20 + 1}},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			b, url := launch(t, tc.kind, lab.Host{})
			ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
			defer cancel()
			p, tab := newGoPeer(t, false), open(ctx, t, b, url)
			check := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			check(call{goOffers: true}.connect(ctx, p, tab))
			for _, size := range append(messageSizes(), tc.large...) {
				check(p.roundTrip(ctx, textOf(size), true))
				check(p.roundTrip(ctx, bytesOf(size), false))
			}
			for _, size := range append([]int{0, 1140, 65536}, tc.large[len(tc.large)-1]) {
				check(tab.Call(ctx, nil, "peer.roundTrip", "string", size&^1))
				check(tab.Call(ctx, nil, "peer.roundTrip", "binary", size))
			}
			if n := p.pc.SCTP().MaxMessageSize(); n != tc.limit {
				t.Errorf("the browser takes %d bytes, want %d", n, tc.limit)
			}
			if tc.limit > chromiumLimit {
				return
			}
			for _, err := range []error{p.own.Send(bytesOf(tc.limit + 1)), p.own.SendText(string(textOf(tc.limit + 1)))} {
				if !errors.Is(err, &webrtc.TypeError{}) || !errors.Is(err, webrtc.ErrMessageTooLarge) {
					t.Errorf("a message that is too large: %v", err)
				}
			}
			check(p.roundTrip(ctx, bytesOf(tc.limit), false))
		})
	}
}

// messageSizes are 0 and 1, the powers of two up to 128 KiB with their neighbours, and everything that may just fit, or just
// not, into a packet of 1200 to 1472 bytes.
func messageSizes() []int {
	sizes := []int{0, 1}
	for n := 2; n <= 128<<10; n *= 2 {
		sizes = append(sizes, n-1, n, n+1)
	}
	for _, span := range [][2]int{{1090, 1160}, {1360, 1430}} {
		for n := span[0]; n <= span[1]; n++ {
			sizes = append(sizes, n)
		}
	}
	return sizes
}

func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// textOf is text of n bytes.
func textOf(n int) []byte {
	b := make([]byte, 0, n)
	for n-len(b) >= 4 {
		b = append(b, 'a'+byte(len(b)/4%26))
		b = append(b, "€"...)
	}
	for len(b) < n {
		b = append(b, 'z')
	}
	return b
}
