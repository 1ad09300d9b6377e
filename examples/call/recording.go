package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/openparley/webrtc"
	"github.com/openparley/webrtc/media"
)

// stragglers is how long a recording waits for frames that were sent and have not come.
const stragglers = time.Second

// A recording writes one remote track to a file, whose format its codec decides.
type recording struct {
	track *webrtc.TrackRemote
	// base is the path of the file without its extension.
	base string
	done chan struct{} // closed when run has returned

	mu       sync.Mutex // guards what follows
	path     string
	first    time.Time // of the first packet
	frames   uint64
	expected *uint64 // nil: not known yet
	err      error
}

func newRecording(track *webrtc.TrackRemote, dir, name string) *recording {
	return &recording{track: track, base: filepath.Join(dir, name), done: make(chan struct{})}
}

// run records until the track ends, or until all frames are there that expect has told of.
func (r *recording) run() {
	defer close(r.done)
	err := r.record()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // the ways in which a track ends
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *recording) record() (err error) {
	packet, err := r.track.ReadRTP()
	if err != nil {
		return err
	}
	// Only the first packet tells which of the negotiated codecs the peer has chosen.
	mimeType := r.track.Codec().MimeType
	file, err := os.Create(r.base + media.FileExtension(mimeType))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	recorder, err := newRecorder(file, mimeType)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, recorder.Close())
		r.complete(recorder.Stats().Frames) // with those that have waited for a packet that was lost
	}()
	r.mu.Lock()
	r.path, r.first = file.Name(), time.Now()
	r.mu.Unlock()
	var missing uint64
	for {
		if err := recorder.WriteRTP(packet); err != nil {
			return err
		}
		stats := recorder.Stats()
		if stats.PacketsMissing > missing && r.track.Kind() == webrtc.RTPCodecTypeVideo {
			missing = stats.PacketsMissing
			_ = r.track.RequestKeyFrame() // it fails when the connection closes
		}
		if r.complete(stats.Frames) {
			return nil
		}
		if packet, err = r.track.ReadRTP(); err != nil {
			return err
		}
	}
}

// complete notes how many frames are there, and tells whether that is all.
func (r *recording) complete(frames uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = frames
	return r.expected != nil && frames >= *r.expected
}

// expect says how many frames the peer has sent in all. The recording ends with the last of them, or a little later.
func (r *recording) expect(frames uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected = &frames
	deadline := time.Now()
	if r.frames < frames {
		deadline = deadline.Add(stragglers)
	}
	_ = r.track.SetReadDeadline(deadline)
}

// recordingReport is what a recording has come to.
type recordingReport struct {
	Kind, Path       string
	Frames, Expected uint64
	First            time.Time
	Err              error
}

func (r *recording) report() recordingReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := recordingReport{Kind: r.track.Kind().String(), Path: r.path, Frames: r.frames, First: r.first, Err: r.err}
	if r.expected != nil {
		report.Expected = *r.expected
	}
	return report
}

// countingRecorder is a media.Recorder that tells what it has written. All of package media's do.
type countingRecorder interface {
	media.Recorder
	Stats() media.RecorderStats
}

func newRecorder(w io.Writer, mimeType string) (countingRecorder, error) {
	recorder, err := media.NewRecorder(w, mimeType)
	if err != nil {
		return nil, err
	}
	counting, ok := recorder.(countingRecorder)
	if !ok {
		return nil, fmt.Errorf("the recorder of %s does not count", mimeType)
	}
	return counting, nil
}
