package media

import (
	"fmt"
	"io"
	"time"

	"github.com/pion/rtp"
)

// Recorder writes what a track receives to a file. Packets may come out of order; frames that are not whole are left out.
type Recorder interface {
	// WriteRTP takes one packet, which the caller may use again. It fails with the error of the underlying writer or
	// ErrClosed; what the network did to the packet is no error.
	WriteRTP(pkt *rtp.Packet) error
	// Close writes what is still held and ends the file. It does not close the underlying writer. Idempotent.
	Close() error
}

// NewRecorder makes the recorder of a media type: IVF for VP8, VP9 and AV1, Ogg for Opus, Annex B for H.264. It fails
// with ErrCodec.
func NewRecorder(w io.Writer, mimeType string) (Recorder, error) {
	c, err := CodecOf(mimeType)
	if err != nil {
		return nil, err
	}
	switch c.MimeType {
	case MimeTypeOpus:
		return NewOggRecorder(w, OggWriterConfig{})
	case MimeTypeH264:
		return NewAnnexBRecorder(w)
	default:
		return NewIVFRecorder(w, mimeType)
	}
}

// FileExtension returns the usual ending of the files that NewRecorder makes, with its dot. Empty: there is none.
func FileExtension(mimeType string) string {
	c, err := CodecOf(mimeType)
	if err != nil {
		return ""
	}
	switch c.MimeType {
	case MimeTypeOpus:
		return ".ogg"
	case MimeTypeH264:
		return ".h264"
	case MimeTypeVP8, MimeTypeVP9, MimeTypeAV1:
		return ".ivf"
	}
	return ""
}

// RecorderStats says what a recorder has written.
type RecorderStats struct {
	Frames   uint64
	Duration time.Duration
	AssemblerStats
}

// recorder is what all recorders share.
type recorder struct {
	frames *FrameAssembler
	write  func(Sample) error
	finish func() error
	stats  RecorderStats
	closed bool
	err    error
}

func newRecorder(mimeType string) (recorder, error) {
	frames, err := NewFrameAssembler(AssemblerConfig{MimeType: mimeType})
	return recorder{frames: frames}, err
}

func (r *recorder) WriteRTP(pkt *rtp.Packet) error {
	if r.closed {
		return ErrClosed
	}
	r.frames.Push(pkt)
	return r.drain()
}

func (r *recorder) drain() error {
	for r.err == nil {
		s, ok := r.frames.Pop()
		if !ok {
			break
		}
		r.err = r.write(s)
	}
	return r.err
}

func (r *recorder) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.frames.Flush()
	err := r.drain()
	if ferr := r.finish(); err == nil {
		err = ferr
	}
	return err
}

// Stats says what was written so far.
func (r *recorder) Stats() RecorderStats {
	s := r.stats
	s.AssemblerStats = r.frames.Stats()
	return s
}

// clock turns RTP timestamps into a time that never goes back and survives their wrapping.
type clock struct {
	started bool
	last    uint32
	units   uint64
}

// at returns the time of a timestamp since the first. A timestamp from the past, or far away, is taken to follow at once:
// the sender has set its clock.
func (c *clock) at(timestamp, far uint32) uint64 {
	if c.started {
		step := timestamp - c.last
		if step > far {
			step = 1
		}
		c.units += uint64(step)
	}
	c.started, c.last = true, timestamp
	return c.units
}

// farJump is the longest pause that a recording shows.
const farJump = 10 * time.Minute

// IVFRecorder records VP8, VP9 or AV1. The file begins with the first key frame, which tells the picture size, and its
// timestamps are those of RTP. If the writer can seek, the length is filled in at the end.
type IVFRecorder struct {
	recorder
	w     io.Writer
	codec Codec
	file  *IVFWriter
	clock clock
}

// NewIVFRecorder makes a recorder. It fails with ErrCodec.
func NewIVFRecorder(w io.Writer, mimeType string) (*IVFRecorder, error) {
	c, err := CodecOf(mimeType)
	if err != nil {
		return nil, err
	}
	if ivfFourCC[c.MimeType] == "" {
		return nil, fmt.Errorf("%w: IVF holds no %s", ErrCodec, c.MimeType)
	}
	base, err := newRecorder(mimeType)
	if err != nil {
		return nil, err
	}
	r := &IVFRecorder{recorder: base, w: w, codec: c}
	r.write, r.finish = r.writeFrame, r.end
	return r, nil
}

func (r *IVFRecorder) writeFrame(s Sample) error {
	if r.file == nil {
		if !s.KeyFrame {
			return nil
		}
		h := IVFHeader{MimeType: r.codec.MimeType}
		h.Width, h.Height, _ = frameSize(r.codec, s.Data)
		var err error
		if r.file, err = NewIVFWriter(r.w, h); err != nil {
			return err
		}
	}
	units := r.clock.at(s.Timestamp, uint32(farJump.Seconds())*r.codec.ClockRate)
	data := s.Data
	if r.codec.MimeType == MimeTypeAV1 && data[0]>>3&0x0f != obuTemporalDelimiter {
		// RTP leaves out the temporal delimiter that a file has in front of each picture (AV1 RTP §5).
		data = append([]byte{obuTemporalDelimiter<<3 | 2, 0}, data...)
	}
	r.stats.Frames++
	r.stats.Duration = time.Duration(units) * time.Second / time.Duration(r.codec.ClockRate)
	return r.file.WriteFrame(data, units)
}

func (r *IVFRecorder) end() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// OggRecorder records Opus. Where packets are missing, or a sender was silent, it writes packets without content, which
// decoders conceal, so that the sound stays in time (RFC 7845 §4.1).
type OggRecorder struct {
	recorder
	file  *OggWriter
	clock clock
	cut   uint64 // clock units that the file leaves out
	toc   byte
}

// maxConceal is the longest gap that is filled; a longer one is a pause, and cut.
const maxConceal = 30 * time.Second

// NewOggRecorder makes a recorder; the headers are written at once. It fails with ErrCodec or the writer's error.
func NewOggRecorder(w io.Writer, cfg OggWriterConfig) (*OggRecorder, error) {
	file, err := NewOggWriter(w, cfg)
	if err != nil {
		return nil, err
	}
	base, err := newRecorder(MimeTypeOpus)
	if err != nil {
		return nil, err
	}
	r := &OggRecorder{recorder: base, file: file}
	r.write, r.finish = r.writePacket, file.Close
	return r, nil
}

func (r *OggRecorder) writePacket(s Sample) error {
	if s.Duration == 0 {
		return nil // no Opus packet: nothing that a file could hold
	}
	units := r.clock.at(s.Timestamp, uint32(farJump.Seconds())*48000) - r.cut
	if written := opusSamples(r.file.Duration()); units > written && r.stats.Frames > 0 {
		gap := units - written
		if gap > opusSamples(maxConceal) {
			r.cut += gap
			gap = 0
		}
		if err := r.conceal(gap); err != nil {
			return err
		}
	}
	r.toc = s.Data[0]
	if err := r.file.WritePacket(s.Data); err != nil {
		return err
	}
	r.stats.Frames++
	r.stats.Duration = r.file.Duration()
	return nil
}

// conceal writes packets of one empty frame each in the configuration of the last packet. What is less than a frame stays
// for the next gap.
func (r *OggRecorder) conceal(gap uint64) error {
	frame := opusSamples(opusFrame(r.toc))
	for ; gap >= frame; gap -= frame {
		if err := r.file.WritePacket([]byte{r.toc &^ 3}); err != nil {
			return err
		}
	}
	return nil
}

// AnnexBRecorder records H.264 as a stream of NAL units. The format knows no time: players show it at the rate that they
// find in it. The file begins with the first key frame.
type AnnexBRecorder struct {
	recorder
	file  *AnnexBWriter
	clock clock
}

// NewAnnexBRecorder makes a recorder.
func NewAnnexBRecorder(w io.Writer) (*AnnexBRecorder, error) {
	base, err := newRecorder(MimeTypeH264)
	if err != nil {
		return nil, err
	}
	r := &AnnexBRecorder{recorder: base, file: NewAnnexBWriter(w)}
	r.write = r.writeFrame
	r.finish = func() error { return nil }
	return r, nil
}

func (r *AnnexBRecorder) writeFrame(s Sample) error {
	if r.stats.Frames == 0 && !s.KeyFrame {
		return nil
	}
	units := r.clock.at(s.Timestamp, uint32(farJump.Seconds())*90000)
	r.stats.Frames++
	r.stats.Duration = time.Duration(units) * time.Second / 90000
	return r.file.WriteAccessUnit(s.Data)
}
