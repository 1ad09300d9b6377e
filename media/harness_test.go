package media

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pion/rtp"
)

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seekable is a file in memory.
type seekable struct {
	data []byte
	at   int
}

func (s *seekable) Write(b []byte) (int, error) {
	s.data = append(s.data[:s.at], append(b[:len(b):len(b)], s.data[min(len(s.data), s.at+len(b)):]...)...)
	s.at += len(b)
	return len(b), nil
}

func (s *seekable) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		s.at = int(offset)
	case io.SeekEnd:
		s.at = len(s.data) + int(offset)
	default:
		return 0, errors.ErrUnsupported
	}
	return int64(s.at), nil
}

// failing is a writer that is full after n bytes.
type failing struct{ n int }

var errFull = errors.New("disk full")

func (f *failing) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// sampleReader is what the three readers have in common.
type sampleReader interface{ Next() (Sample, error) }

func openSamples(t testing.TB, name string) sampleReader {
	t.Helper()
	b := bytes.NewReader(testdata(t, name))
	var r sampleReader
	var err error
	switch filepath.Ext(name) {
	case ".ivf":
		r, err = NewIVFReader(b)
	case ".ogg":
		r, err = NewOggReader(b)
	default:
		r = NewAnnexBReader(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(t testing.TB, r sampleReader) []Sample {
	t.Helper()
	var all []Sample
	for range 10000 {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	t.Fatal("no end")
	return nil
}

// files has one small file of each codec.
var files = []struct{ name, mime string }{
	{"vp8.ivf", MimeTypeVP8},
	{"vp9.ivf", MimeTypeVP9},
	{"av1.ivf", MimeTypeAV1},
	{"h264.h264", MimeTypeH264},
	{"tone.ogg", MimeTypeOpus},
}

// load reads a file's samples and gives those without a timestamp 25 a second.
func load(t testing.TB, name, mime string) []Sample {
	t.Helper()
	samples := readAll(t, openSamples(t, name))
	if mime == MimeTypeH264 {
		for i := range samples {
			samples[i].Timestamp = uint32(i) * 3600
		}
	}
	return samples
}

// packetize cuts samples into RTP packets.
func packetize(t testing.TB, mime string, samples []Sample, mtu uint16, seq uint16, timestamp uint32) []*rtp.Packet {
	t.Helper()
	p, err := NewPayloader(mime)
	if err != nil {
		t.Fatal(err)
	}
	var packets []*rtp.Packet
	for _, s := range samples {
		payloads := p.Payload(mtu, s.Data)
		if len(payloads) == 0 {
			t.Fatal("a sample without payload")
		}
		for i, payload := range payloads {
			packets = append(packets, &rtp.Packet{
				Header: rtp.Header{
					Version: 2, SequenceNumber: seq, Timestamp: timestamp + s.Timestamp, Marker: i == len(payloads)-1, SSRC: 1, PayloadType: 96,
				},
				Payload: payload,
			})
			seq++
		}
	}
	return packets
}

// onWire takes out of a frame what RTP leaves away: AV1's temporal delimiter, H.264's access unit delimiter and the length
// of start codes.
func onWire(mime string, frame []byte) []byte {
	switch mime {
	case MimeTypeAV1:
		return bytes.TrimPrefix(frame, []byte{0x12, 0})
	case MimeTypeH264:
		var out []byte
		for nal := range annexBUnits(frame) {
			if nal[0]&0x1f != nalAUD {
				out = append(append(out, annexBPrefix...), nal...)
			}
		}
		return out
	}
	return frame
}

func wantDuration(t *testing.T, what string, got, want, tolerance time.Duration) {
	t.Helper()
	if (got - want).Abs() > tolerance {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func openFile(t *testing.T, path string, open func(io.Reader) (sampleReader, error)) []Sample {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := open(f)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, r)
}

// seeds is how many seeds a torture test runs: n, or PARLEY_TORTURE.
func seeds(n int64) int64 {
	if v, err := strconv.ParseInt(os.Getenv("PARLEY_TORTURE"), 10, 64); err == nil && v > 0 {
		return v
	}
	return n
}
