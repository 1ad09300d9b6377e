// Package media holds the two clips that the examples play, a melody in Opus and a test pattern in a video codec, and
// plays them at their pace.
package media

import (
	"bytes"
	"context"
	_ "embed" // for the two files
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/media"
)

//go:embed melody.ogg
var melody []byte

//go:embed pattern.ivf
var pattern []byte

// A Clip is a short piece of media that can be played any number of times, by any number of players at once.
type Clip struct {
	Name   string
	Codec  webrtc.RTPCodecCapability
	Frames []media.Sample
}

// Melody returns the audio clip.
func Melody() (*Clip, error) {
	r, err := media.NewOggReader(bytes.NewReader(melody))
	if err != nil {
		return nil, fmt.Errorf("melody: %w", err)
	}
	frames, err := readAll(r)
	if err != nil {
		return nil, fmt.Errorf("melody: %w", err)
	}
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	return &Clip{"melody", codec, frames}, nil
}

// Pattern returns the video clip. It begins with a key frame.
func Pattern() (*Clip, error) {
	r, err := media.NewIVFReader(bytes.NewReader(pattern))
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	frames, err := readAll(r)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	codec := webrtc.RTPCodecCapability{MimeType: r.Header().MimeType, ClockRate: 90000}
	return &Clip{"pattern", codec, frames}, nil
}

// NewTrack makes a track for the clip's frames. id and streamID are announced to the peer.
func (c *Clip) NewTrack(id, streamID string) (*webrtc.TrackLocalStaticSample, error) {
	return webrtc.NewTrackLocalStaticSample(c.Codec, id, streamID)
}

func readAll(r interface{ Next() (media.Sample, error) }) (frames []media.Sample, err error) {
	for {
		frame, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && len(frames) > 0:
			return frames, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("the file has no frames")
		case err != nil:
			return nil, err
		case frame.Duration <= 0:
			return nil, errors.New("a frame has no duration")
		}
		frames = append(frames, frame)
	}
}

// A Player plays a clip over and over.
type Player struct {
	clip  *Clip
	write func(media.Sample) error
	// skip asks for the next frame to be a key frame.
	skip chan struct{}
	end  atomic.Int64 // a time.Duration of play
}

// NewPlayer makes a player that gives each frame to write when its time has come.
func NewPlayer(clip *Clip, write func(media.Sample) error) *Player {
	p := &Player{clip: clip, write: write, skip: make(chan struct{}, 1)}
	p.end.Store(math.MaxInt64)
	return p
}

// StopAt makes Play return once it has played so much, in the time of the clip: on a machine that is late, too, so many
// frames are sent. Of several ends the first one counts.
func (p *Player) StopAt(played time.Duration) {
	for end := p.end.Load(); int64(played) < end && !p.end.CompareAndSwap(end, int64(played)); end = p.end.Load() {
	}
}

// KeyFrame makes the player go on with the clip's next key frame, for a receiver that has lost the picture or has just
// come. It never waits.
func (p *Player) KeyFrame() {
	select {
	case p.skip <- struct{}{}:
	default:
	}
}

// Play plays from the clip's beginning until ctx ends or StopAt says so, at the pace of the frames, and returns how many
// it has sent and how long they last. When it is late, it catches up: what counts is the time since the beginning.
func (p *Player) Play(ctx context.Context) (frames uint64, played time.Duration, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	begin := time.Now()
	for i := 0; ; i = (i + 1) % len(p.clip.Frames) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return frames, played, nil
		}
		if int64(played) >= p.end.Load() {
			return frames, played, nil
		}
		select {
		case <-p.skip:
			i = p.nextKeyFrame(i)
		default:
		}
		frame := p.clip.Frames[i]
		if err := p.write(frame); err != nil {
			return frames, played, err
		}
		frames++
		played += frame.Duration
		timer.Reset(time.Until(begin.Add(played)))
	}
}

func (p *Player) nextKeyFrame(from int) int {
	for n := range p.clip.Frames {
		if i := (from + n) % len(p.clip.Frames); p.clip.Frames[i].KeyFrame {
			return i
		}
	}
	return from
}
