package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// IVFHeader is the header of an IVF file: one stream of VP8, VP9 or AV1.
type IVFHeader struct {
	MimeType      string
	Width, Height int
	// TimebaseNumerator/TimebaseDenominator is the unit of timestamps in seconds: 1/30, 1/90000.
	TimebaseDenominator uint32
	TimebaseNumerator   uint32
	// Length is what the file says of its length, in units of the timebase; zero where its writer could not go back. Where
	// the timebase is that of the frames it is their number, which is what some writers mean in every case.
	Length uint32
}

const (
	ivfHeaderSize      = 32
	ivfFrameHeaderSize = 12
	ivfSignature       = "DKIF"
)

var ivfFourCC = map[string]string{MimeTypeVP8: "VP80", MimeTypeVP9: "VP90", MimeTypeAV1: "AV01"}

// IVFReader reads an IVF file frame by frame.
type IVFReader struct {
	r      io.Reader
	codec  Codec
	header IVFHeader
	next   [ivfFrameHeaderSize]byte // the header of the frame that comes next
	err    error                    // why there is none
	last   time.Duration
}

// NewIVFReader reads the header. It fails with ErrFormat, ErrCodec or the reader's error.
func NewIVFReader(r io.Reader) (*IVFReader, error) {
	var b [ivfHeaderSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return nil, fmt.Errorf("media: IVF header: %w", truncated(err))
	}
	if string(b[:4]) != ivfSignature || binary.LittleEndian.Uint16(b[4:]) != 0 {
		return nil, fmt.Errorf("%w: no IVF signature", ErrFormat)
	}
	v := &IVFReader{r: r, header: IVFHeader{
		Width:               int(binary.LittleEndian.Uint16(b[12:])),
		Height:              int(binary.LittleEndian.Uint16(b[14:])),
		TimebaseDenominator: binary.LittleEndian.Uint32(b[16:]),
		TimebaseNumerator:   binary.LittleEndian.Uint32(b[20:]),
		Length:              binary.LittleEndian.Uint32(b[24:]),
	}}
	if v.header.TimebaseDenominator == 0 || v.header.TimebaseNumerator == 0 {
		return nil, fmt.Errorf("%w: IVF timebase of zero", ErrFormat)
	}
	for mime, cc := range ivfFourCC {
		if string(b[8:12]) == cc {
			v.header.MimeType = mime
		}
	}
	var err error
	if v.codec, err = CodecOf(v.header.MimeType); err != nil {
		return nil, fmt.Errorf("%w: IVF codec %q", ErrCodec, b[8:12])
	}
	// The header may be longer than this one.
	if extra := int64(binary.LittleEndian.Uint16(b[6:])) - ivfHeaderSize; extra > 0 {
		if _, err := io.CopyN(io.Discard, r, extra); err != nil {
			return nil, fmt.Errorf("media: IVF header: %w", truncated(err))
		}
	}
	v.readHeader()
	return v, nil
}

// Header returns the file's header.
func (v *IVFReader) Header() IVFHeader { return v.header }

func (v *IVFReader) readHeader() {
	if _, err := io.ReadFull(v.r, v.next[:]); err != nil {
		v.err = err
		if errors.Is(err, io.ErrUnexpectedEOF) {
			v.err = fmt.Errorf("%w: half an IVF frame header", ErrFormat)
		}
	}
}

// Next returns the next frame; its data belongs to the caller. Its duration is the distance to the frame after it; the
// last one lasts as long as the one before. At the end it fails with io.EOF, in a damaged file with ErrFormat or
// ErrTooLarge.
func (v *IVFReader) Next() (Sample, error) {
	if v.err != nil {
		return Sample{}, v.err
	}
	size, pts := binary.LittleEndian.Uint32(v.next[:]), binary.LittleEndian.Uint64(v.next[4:])
	if size > MaxFrame {
		v.err = fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
		return Sample{}, v.err
	}
	data, err := readExactly(v.r, int(size))
	if err != nil {
		v.err = fmt.Errorf("media: IVF frame: %w", truncated(err))
		return Sample{}, v.err
	}
	v.readHeader()
	if v.err == nil {
		if next := binary.LittleEndian.Uint64(v.next[4:]); next > pts {
			v.last = time.Duration(v.scale(next-pts, uint64(time.Second)))
		}
	}
	return Sample{
		Data:      data,
		Timestamp: uint32(v.scale(pts, uint64(v.codec.ClockRate))),
		Duration:  v.last,
		KeyFrame:  isKeyFrame(v.codec, data),
	}, nil
}

// scale converts units of the timebase to units of which a second has rate.
func (v *IVFReader) scale(units, rate uint64) uint64 {
	hi, lo := bits.Mul64(units, uint64(v.header.TimebaseNumerator)*rate)
	den := uint64(v.header.TimebaseDenominator)
	q, _ := bits.Div64(hi%den, lo, den)
	return q
}

// readExactly reads n bytes and takes memory only as they come, whatever n a damaged file claims.
func readExactly(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	data := make([]byte, 0, min(n, step))
	for len(data) < n {
		at := len(data)
		end := min(n, max(2*at, step))
		data = append(data, make([]byte, end-at)...)
		if _, err := io.ReadFull(r, data[at:]); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// truncated turns the end of a file in the middle of something into ErrFormat.
func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: truncated", ErrFormat)
	}
	return err
}

// IVFWriter writes an IVF file.
type IVFWriter struct {
	w      io.Writer
	pts    uint64 // of the last frame
	step   uint64 // how long it lasts: as long as the one before
	frames bool
	closed bool
	err    error
}

// NewIVFWriter writes the header; zero for the timebase means 1/90000, the clock of RTP. It fails with ErrCodec or the
// writer's error.
func NewIVFWriter(w io.Writer, h IVFHeader) (*IVFWriter, error) {
	c, err := CodecOf(h.MimeType)
	if err != nil {
		return nil, err
	}
	fourCC, ok := ivfFourCC[c.MimeType]
	if !ok {
		return nil, fmt.Errorf("%w: IVF holds no %s", ErrCodec, c.MimeType)
	}
	if h.TimebaseDenominator == 0 || h.TimebaseNumerator == 0 {
		h.TimebaseDenominator, h.TimebaseNumerator = c.ClockRate, 1
	}
	var b [ivfHeaderSize]byte
	copy(b[:], ivfSignature)
	binary.LittleEndian.PutUint16(b[6:], ivfHeaderSize)
	copy(b[8:], fourCC)
	binary.LittleEndian.PutUint16(b[12:], uint16(h.Width))
	binary.LittleEndian.PutUint16(b[14:], uint16(h.Height))
	binary.LittleEndian.PutUint32(b[16:], h.TimebaseDenominator)
	binary.LittleEndian.PutUint32(b[20:], h.TimebaseNumerator)
	binary.LittleEndian.PutUint32(b[24:], h.Length)
	if _, err := w.Write(b[:]); err != nil {
		return nil, fmt.Errorf("media: IVF header: %w", err)
	}
	return &IVFWriter{w: w}, nil
}

// WriteFrame writes one frame; pts counts in the timebase. After an error of the underlying writer all calls fail with it.
func (v *IVFWriter) WriteFrame(data []byte, pts uint64) error {
	if v.closed {
		return ErrClosed
	}
	if len(data) > MaxFrame {
		return ErrTooLarge
	}
	if v.err != nil {
		return v.err
	}
	var b [ivfFrameHeaderSize]byte
	binary.LittleEndian.PutUint32(b[:], uint32(len(data)))
	binary.LittleEndian.PutUint64(b[4:], pts)
	if _, err := v.w.Write(b[:]); err != nil {
		v.err = fmt.Errorf("media: IVF frame: %w", err)
		return v.err
	}
	if _, err := v.w.Write(data); err != nil {
		v.err = fmt.Errorf("media: IVF frame: %w", err)
		return v.err
	}
	if v.step = 1; v.frames && pts > v.pts {
		v.step = pts - v.pts
	}
	v.pts, v.frames = pts, true
	return nil
}

// Close writes the length into the header if the underlying writer can seek. It does not close that. Idempotent.
func (v *IVFWriter) Close() error {
	if v.closed {
		return nil
	}
	v.closed = true
	if v.err != nil {
		return v.err
	}
	s, ok := v.w.(io.WriteSeeker)
	if !ok || !v.frames {
		return nil
	}
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(v.pts+v.step))
	if _, err := s.Seek(24, io.SeekStart); err != nil {
		// A pipe has the method, and cannot.
		return nil
	}
	if _, err := s.Write(b[:]); err != nil {
		return fmt.Errorf("media: IVF header: %w", err)
	}
	if _, err := s.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("media: IVF end: %w", err)
	}
	return nil
}
