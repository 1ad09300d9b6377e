package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/media"
)

// The clips that are sent: a test picture, 160 by 120, 15 frames a second with a key frame each second, and a tone.
const (
	videoClip, videoFrame = "testdata/video.ivf", time.Second / 15
	audioClip, audioFrame = "testdata/audio.ogg", 20 * time.Millisecond
)

// readFrames reads a whole clip.
func readFrames(t testing.TB, name string) (frames [][]byte) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var clip interface{ Next() (media.Sample, error) }
	if strings.HasSuffix(name, ".ogg") {
		clip, err = media.NewOggReader(f)
	} else {
		clip, err = media.NewIVFReader(f)
	}
	for err == nil {
		var s media.Sample
		if s, err = clip.Next(); err == nil {
			frames = append(frames, bytes.Clone(s.Data))
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", name, err)
	}
	return frames
}

// play feeds a track until the context ends.
func play(ctx context.Context, track *webrtc.TrackLocalStaticSample, frames [][]byte, each time.Duration) error {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for i := 0; ; i++ {
		if err := track.WriteSample(media.Sample{Data: frames[i%len(frames)], Duration: each}); err != nil {
			return fmt.Errorf("write %s: %w", track.Kind(), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// received records what comes in on the tracks of one peer.
type received struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced with each packet
	file    bytes.Buffer  // the video
	video   *media.IVFRecorder
	audio   int // packets
	broken  error
}

func newReceived(t testing.TB) *received {
	t.Helper()
	r := &received{changed: make(chan struct{})}
	var err error
	if r.video, err = media.NewIVFRecorder(&r.file, media.MimeTypeVP8); err != nil {
		t.Fatal(err)
	}
	return r
}

// read records one track until it ends.
func (r *received) read(track *webrtc.TrackRemote) {
	for {
		p, err := track.ReadRTP()
		if err != nil {
			return // the end of the track or of the connection
		}
		r.mu.Lock()
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			r.audio++
		} else if r.broken == nil {
			r.broken = r.video.WriteRTP(p)
		}
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
	}
}

// wait returns when that much video and audio has come.
func (r *received) wait(ctx context.Context, frames uint64, audio int) error {
	for {
		r.mu.Lock()
		video, packets, changed, broken := r.video.Stats(), r.audio, r.changed, r.broken
		r.mu.Unlock()
		if broken != nil || video.Frames >= frames && packets >= audio {
			return broken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("received %d video frames (%+v), %d audio packets: %w", video.Frames, video, packets, context.Cause(ctx))
		}
	}
}

// more waits for this many further packets of audio.
func (r *received) more(ctx context.Context, audio int) error {
	r.mu.Lock()
	packets := r.audio
	r.mu.Unlock()
	return r.wait(ctx, 0, packets+audio)
}

// decode has the video that was received so far decoded by ffprobe, and returns the number of its frames.
func (r *received) decode(ctx context.Context, t *testing.T) (frames int, err error) {
	name := filepath.Join(t.TempDir(), "received.ivf")
	r.mu.Lock()
	err = os.WriteFile(name, r.file.Bytes(), 0o600)
	r.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return countFrames(ctx, name, "v")
}

// countFrames has ffprobe decode the first stream of a kind (v or a) in a file.
func countFrames(ctx context.Context, file, kind string) (int, error) {
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-count_frames", "-select_streams", kind+":0",
		"-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("ffprobe: %w: %s", err, out)
	}
	frames, err := strconv.Atoi(strings.TrimSpace(string(out))) // complaints about damaged frames would be in it
	if err != nil {
		return 0, fmt.Errorf("ffprobe %s: %s", filepath.Base(file), out)
	}
	return frames, nil
}
