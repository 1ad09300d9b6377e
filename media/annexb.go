package media

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// AnnexBReader reads a stream of H.264 NAL units with start codes (H.264 Annex B).
type AnnexBReader struct {
	r       io.Reader
	buf     []byte
	begun   bool // a start code was seen: buf begins with a NAL unit
	scanned int  // no start code before
	err     error
	pending []byte // a NAL unit that begins the next access unit
}

// NewAnnexBReader makes a reader.
func NewAnnexBReader(r io.Reader) *AnnexBReader { return &AnnexBReader{r: r} }

// NextNAL returns the next NAL unit without its start code; it belongs to the caller. At the end it fails with io.EOF, in
// something else than Annex B with ErrFormat or ErrTooLarge.
func (a *AnnexBReader) NextNAL() ([]byte, error) {
	if nal := a.pending; nal != nil {
		a.pending = nil
		return nal, nil
	}
	return a.read()
}

func (a *AnnexBReader) read() ([]byte, error) {
	for {
		if nal, ok, err := a.cut(); ok || err != nil {
			return nal, err
		}
		if a.err != nil {
			return a.rest()
		}
		if len(a.buf) > MaxFrame {
			a.err = ErrTooLarge
			a.buf, a.scanned = nil, 0
			return nil, a.err
		}
		a.fill()
	}
}

func (a *AnnexBReader) fill() {
	const step = 64 << 10
	at := len(a.buf)
	a.buf = slices.Grow(a.buf, step)
	n, err := a.r.Read(a.buf[at : at+step])
	a.buf = a.buf[:at+n]
	if err != nil {
		a.err = err
	} else if n == 0 {
		a.err = io.ErrNoProgress
	}
}

// cut takes one NAL unit off the buffer if its end is there.
func (a *AnnexBReader) cut() ([]byte, bool, error) {
	for {
		i := bytes.Index(a.buf[a.scanned:], startCode)
		if i < 0 {
			a.scanned = max(len(a.buf)-2, 0)
			return nil, false, nil
		}
		i += a.scanned
		nal := bytes.TrimRight(a.buf[:i], "\x00")
		if !a.begun && len(nal) > 0 {
			a.buf, a.scanned = nil, 0
			a.err = fmt.Errorf("%w: no start code in front", ErrFormat)
			return nil, false, a.err
		}
		nal = bytes.Clone(nal)
		a.buf = a.buf[i+len(startCode):]
		a.begun, a.scanned = true, 0
		if len(nal) > 0 {
			return nal, true, nil
		}
	}
}

// rest returns what is behind the last start code, or the error at the end.
func (a *AnnexBReader) rest() ([]byte, error) {
	nal := bytes.TrimRight(a.buf, "\x00")
	a.buf, a.scanned = nil, 0
	if len(nal) == 0 || !errors.Is(a.err, io.EOF) {
		return nil, a.err
	}
	if !a.begun {
		a.err = fmt.Errorf("%w: no start code", ErrFormat)
		return nil, a.err
	}
	return bytes.Clone(nal), nil
}

// Next returns the next access unit, one picture, with start codes; its data belongs to the caller. Annex B knows no time:
// the sample has neither timestamp nor duration. Errors are those of NextNAL.
func (a *AnnexBReader) Next() (Sample, error) {
	var s Sample
	picture := false
	for {
		nal, err := a.NextNAL()
		if err != nil {
			if len(s.Data) > 0 && errors.Is(err, io.EOF) {
				return s, nil
			}
			return Sample{}, err
		}
		kind := nal[0] & 0x1f
		if picture && beginsAccessUnit(nal) {
			a.pending = nal
			return s, nil
		}
		picture = picture || kind >= nalSlice && kind <= nalIDR
		s.KeyFrame = s.KeyFrame || kind == nalIDR
		s.Data = append(append(s.Data, annexBPrefix...), nal...)
		if len(s.Data) > MaxFrame {
			return Sample{}, ErrTooLarge
		}
	}
}

var (
	startCode    = []byte{0, 0, 1}
	annexBPrefix = []byte{0, 0, 0, 1}
)

// annexBUnits walks over the NAL units of an access unit with start codes.
func annexBUnits(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			i := bytes.Index(data, startCode)
			if i < 0 {
				return
			}
			data = data[i+len(startCode):]
			end := bytes.Index(data, startCode)
			if end < 0 {
				end = len(data)
			}
			nal := bytes.TrimRight(data[:end], "\x00")
			if len(nal) > 0 && !yield(nal) {
				return
			}
			data = data[end:]
		}
	}
}

// AnnexBWriter writes a stream of H.264 NAL units with start codes.
type AnnexBWriter struct{ w io.Writer }

// NewAnnexBWriter makes a writer.
func NewAnnexBWriter(w io.Writer) *AnnexBWriter { return &AnnexBWriter{w: w} }

// WriteNAL writes one NAL unit.
func (a *AnnexBWriter) WriteNAL(nal []byte) error {
	if _, err := a.w.Write(annexBPrefix); err != nil {
		return fmt.Errorf("media: Annex B: %w", err)
	}
	if _, err := a.w.Write(nal); err != nil {
		return fmt.Errorf("media: Annex B: %w", err)
	}
	return nil
}

// WriteAccessUnit writes the NAL units of one picture that has start codes already.
func (a *AnnexBWriter) WriteAccessUnit(data []byte) error {
	if _, err := a.w.Write(data); err != nil {
		return fmt.Errorf("media: Annex B: %w", err)
	}
	return nil
}
