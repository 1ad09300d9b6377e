package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

var le = binary.LittleEndian

// Ogg pages (RFC 3533 §6).
const (
	oggHeaderSize = 27
	oggContinued  = 0x01
	oggBegin      = 0x02
	oggEnd        = 0x04
	maxOpusPacket = 61440 // RFC 7845 §6
	maxOpusTags   = 1 << 20
)

// oggCRC is the table of RFC 3533 §6: polynomial 0x04c11db7, most significant bit first, no inversion.
var oggCRC = func() (t [256]uint32) {
	for i := range t {
		r := uint32(i) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ 0x04c11db7
			} else {
				r <<= 1
			}
		}
		t[i] = r
	}
	return t
}()

func oggChecksum(crc uint32, b []byte) uint32 {
	for _, c := range b {
		crc = crc<<8 ^ oggCRC[byte(crc>>24)^c]
	}
	return crc
}

// oggPage is one page; its slices are valid until the next is read.
type oggPage struct {
	flags    byte
	granule  uint64
	serial   uint32
	sequence uint32
	lacing   []byte
	body     []byte
}

// oggPages reads pages.
type oggPages struct {
	r    io.Reader
	head [oggHeaderSize + 255]byte
	body []byte
}

// next reads a page. It fails with io.EOF at the end, ErrFormat in a damaged file.
func (p *oggPages) next() (oggPage, error) {
	if _, err := io.ReadFull(p.r, p.head[:oggHeaderSize]); err != nil {
		if errors.Is(err, io.EOF) {
			return oggPage{}, io.EOF
		}
		return oggPage{}, fmt.Errorf("media: Ogg page: %w", truncated(err))
	}
	h := p.head[:oggHeaderSize]
	if string(h[:4]) != "OggS" || h[4] != 0 {
		return oggPage{}, fmt.Errorf("%w: no Ogg page", ErrFormat)
	}
	lacing := p.head[oggHeaderSize : oggHeaderSize+int(h[26])]
	if _, err := io.ReadFull(p.r, lacing); err != nil {
		return oggPage{}, fmt.Errorf("media: Ogg page: %w", truncated(err))
	}
	size := 0
	for _, n := range lacing {
		size += int(n)
	}
	if cap(p.body) < size {
		p.body = make([]byte, 255*255)
	}
	p.body = p.body[:size]
	if _, err := io.ReadFull(p.r, p.body); err != nil {
		return oggPage{}, fmt.Errorf("media: Ogg page: %w", truncated(err))
	}
	want := le.Uint32(h[22:])
	clear(h[22:26])
	if got := oggChecksum(oggChecksum(0, p.head[:oggHeaderSize+len(lacing)]), p.body); got != want {
		return oggPage{}, fmt.Errorf("%w: Ogg checksum", ErrFormat)
	}
	return oggPage{
		flags: h[5], granule: le.Uint64(h[6:]), serial: le.Uint32(h[14:]), sequence: le.Uint32(h[18:]), lacing: lacing, body: p.body,
	}, nil
}

// OggReader reads the Opus packets of an Ogg file (RFC 7845): the first Opus stream in it.
type OggReader struct {
	pages     oggPages
	header    OpusHeader
	page      oggPage // what is left of it
	serial    uint32
	found     bool
	sequence  uint32
	partial   []byte // of a packet that goes on
	skipRest  bool   // the packet that goes on has lost a part
	timestamp uint64
	err       error
}

// NewOggReader reads the headers. It fails with ErrFormat or the reader's error.
func NewOggReader(r io.Reader) (*OggReader, error) {
	o := &OggReader{pages: oggPages{r: r}}
	head, err := o.packet(maxOpusTags)
	if err == nil {
		o.header, err = parseOpusHeader(head)
	}
	if err != nil {
		return nil, noFile(err)
	}
	tags, err := o.packet(maxOpusTags)
	if err != nil {
		return nil, noFile(err)
	}
	if len(tags) < 8 || string(tags[:8]) != opusTagsMagic {
		return nil, fmt.Errorf("%w: no Opus tags", ErrFormat)
	}
	return o, nil
}

// noFile says that a file without its headers is none.
func noFile(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: no Opus stream", ErrFormat)
	}
	return err
}

// Header returns the identification header.
func (o *OggReader) Header() OpusHeader { return o.header }

// Next returns the next packet; its data belongs to the caller. The timestamp counts all samples, the ones to be skipped
// too, from zero. At the end it fails with io.EOF, in a damaged file with ErrFormat.
func (o *OggReader) Next() (Sample, error) {
	data, err := o.packet(maxOpusPacket)
	if err != nil {
		return Sample{}, err
	}
	d := OpusDuration(data)
	s := Sample{Data: data, Timestamp: uint32(o.timestamp), Duration: d, KeyFrame: true}
	o.timestamp += opusSamples(d)
	return s, nil
}

// packet puts one packet together out of segments; 255 means that it goes on (RFC 3533 §5).
func (o *OggReader) packet(limit int) ([]byte, error) {
	for o.err == nil {
		for len(o.page.lacing) > 0 {
			n := int(o.page.lacing[0])
			o.page.lacing = o.page.lacing[1:]
			o.partial = append(o.partial, o.page.body[:n]...)
			o.page.body = o.page.body[n:]
			if len(o.partial) > limit {
				o.err = fmt.Errorf("%w: Opus packet too large", ErrFormat)
				return nil, o.err
			}
			if n == 255 {
				continue
			}
			data, skip := o.partial, o.skipRest
			o.partial, o.skipRest = nil, false
			if !skip && len(data) > 0 {
				return data, nil
			}
		}
		o.err = o.turnPage()
	}
	return nil, o.err
}

// turnPage reads the next page of the stream.
func (o *OggReader) turnPage() error {
	for {
		page, err := o.pages.next()
		if err != nil {
			return err
		}
		if !o.found {
			if page.flags&oggBegin == 0 {
				return fmt.Errorf("%w: a stream does not begin", ErrFormat)
			}
			if len(page.body) < 8 || string(page.body[:8]) != opusHeadMagic {
				continue
			}
			o.found, o.serial, o.sequence = true, page.serial, page.sequence
		}
		if page.serial != o.serial {
			continue
		}
		lost := page.sequence != o.sequence
		o.sequence = page.sequence + 1
		continued := page.flags&oggContinued != 0
		// RFC 3533 §6: a packet of which a page is missing cannot be used.
		if lost || !continued {
			o.partial = o.partial[:0]
		}
		o.skipRest = continued && len(o.partial) == 0
		o.page = page
		return nil
	}
}

// OggWriterConfig describes an Ogg Opus file to be written. The zero value is a stereo file.
type OggWriterConfig struct {
	// Channels zero: 2.
	Channels uint8
	// PreSkip zero: 3840 samples, the 80 ms that RFC 7845 §5.1 recommends when it is not known what the encoder adds.
	PreSkip uint16
	// InputSampleRate zero: 48000.
	InputSampleRate uint32
	// Serial tells streams of one file apart.
	Serial uint32
	// Vendor is written into the tags. Empty: "parley".
	Vendor string
	// Comments are "NAME=value".
	Comments []string
}

// OggWriter writes the packets of one Opus stream to an Ogg file (RFC 7845).
type OggWriter struct {
	w        io.Writer
	serial   uint32
	sequence uint32
	granule  uint64 // samples, to the end of the last packet
	lacing   []byte
	body     []byte
	begin    uint64 // granule at the start of the page
	ended    uint64 // granule at the end of the last packet that ends in the page
	page     []byte
	closed   bool
	err      error
}

// oggPageSamples is how much goes into a page: what is lost when a recording is cut off.
const oggPageSamples = 48000 / 2

// NewOggWriter writes the headers, each on a page of its own (RFC 7845 §3).
func NewOggWriter(w io.Writer, cfg OggWriterConfig) (*OggWriter, error) {
	if cfg.Channels == 0 {
		cfg.Channels = 2
	}
	if cfg.Channels > 2 {
		return nil, fmt.Errorf("%w: Opus with %d channels", ErrCodec, cfg.Channels)
	}
	if cfg.PreSkip == 0 {
		cfg.PreSkip = 3840
	}
	if cfg.InputSampleRate == 0 {
		cfg.InputSampleRate = 48000
	}
	if cfg.Vendor == "" {
		cfg.Vendor = "parley"
	}
	o := &OggWriter{w: w, serial: cfg.Serial}
	head := OpusHeader{Channels: cfg.Channels, PreSkip: cfg.PreSkip, InputSampleRate: cfg.InputSampleRate}
	tags := marshalOpusTags(cfg.Vendor, cfg.Comments)
	if len(tags) > 255*255-1 {
		return nil, fmt.Errorf("%w: %d bytes of tags", ErrTooLarge, len(tags))
	}
	o.add(head.marshal())
	o.flush(oggBegin)
	o.add(tags)
	o.flush(0)
	return o, o.err
}

// WritePacket writes one Opus packet. It fails with ErrFormat for a packet that is not Opus, and with the error of the
// underlying writer, then and ever after.
func (o *OggWriter) WritePacket(packet []byte) error {
	if o.closed {
		return ErrClosed
	}
	d := OpusDuration(packet)
	if d == 0 || len(packet) > maxOpusPacket {
		return fmt.Errorf("%w: no Opus packet", ErrFormat)
	}
	// The page that is full goes out only now: the last one of the file has to carry the end flag.
	if len(o.lacing)+len(packet)/255+1 > 255 || o.granule-o.begin >= oggPageSamples {
		o.flush(0)
	}
	o.granule += opusSamples(d)
	o.add(packet)
	return o.err
}

// Duration returns how much was written, the samples to be skipped included.
func (o *OggWriter) Duration() time.Duration { return time.Duration(o.granule) * time.Millisecond / 48 }

// add puts a packet on the page, which has room: a page holds 255 segments of 255 bytes.
func (o *OggWriter) add(packet []byte) {
	n := len(packet)
	for ; n >= 255; n -= 255 {
		o.lacing = append(o.lacing, 255)
	}
	o.lacing = append(o.lacing, byte(n))
	o.body = append(o.body, packet...)
	o.ended = o.granule
}

func (o *OggWriter) flush(flags byte) {
	b := append(o.page[:0], "OggS"...)
	b = append(b, 0, flags)
	b = le.AppendUint64(b, o.ended)
	b = le.AppendUint32(b, o.serial)
	b = le.AppendUint32(b, o.sequence)
	b = append(b, 0, 0, 0, 0, byte(len(o.lacing)))
	b = append(b, o.lacing...)
	b = append(b, o.body...)
	le.PutUint32(b[22:], oggChecksum(0, b))
	o.page, o.lacing, o.body = b, o.lacing[:0], o.body[:0]
	o.begin = o.granule
	o.sequence++
	if o.err == nil {
		if _, err := o.w.Write(b); err != nil {
			o.err = fmt.Errorf("media: Ogg page: %w", err)
		}
	}
}

// Close writes the last page. It does not close the underlying writer. Idempotent.
func (o *OggWriter) Close() error {
	if o.closed {
		return nil
	}
	o.closed = true
	o.flush(oggEnd)
	return o.err
}
