package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	clips "github.com/openparley/webrtc/examples/call/media"
	"github.com/openparley/webrtc/media"
)

// TestMain fails when a goroutine outlives the tests: a call that has ended leaves nothing behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

func leaked() (left string) {
	buf := make([]byte, 1<<20)
	for range 1000 { // the runtime may still be taking a finished goroutine away
		left = ""
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "openparley/webrtc") && !strings.Contains(g, "TestMain") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		runtime.Gosched()
	}
	return left
}

// limit is far more than any of the tests needs.
const limit = 60 * time.Second

// transcript is an output that tests can wait on.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(b)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// waitFor waits for a line that matches, and returns it.
func (o *transcript) waitFor(t *testing.T, matches func(line string) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		o.mu.Lock()
		text, changed := o.text.String(), o.changed
		o.mu.Unlock()
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); matches(line) {
				return line
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("what was waited for did not come:\n%s", text)
		}
	}
}

// program is a run of the command.
type program struct {
	out    *transcript
	status chan int
	hangUp context.CancelFunc
}

// start runs the command with args beside the test, which fails if it does not end.
func start(t *testing.T, stdin io.Reader, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{out: newTranscript(), status: make(chan int, 1), hangUp: cancel}
	go func() { p.status <- run(ctx, args, stdin, p.out, p.out) }()
	t.Cleanup(cancel)
	return p
}

func (p *program) wait(t *testing.T, status int) {
	t.Helper()
	select {
	case got := <-p.status:
		if got != status {
			t.Errorf("exit status %d, want %d; output:\n%s", got, status, p.out)
		}
	case <-time.After(limit):
		t.Fatalf("the program does not end; output:\n%s", p.out)
	}
}

// callLength is how much media the calls of the tests send: so much of the clip's time, however long the machine takes.
const callLength = 1500 * time.Millisecond

// checkSaved reads what a side has received with the readers of package media: the files are whole, and hold the part of
// the media sent that a good call receives.
func checkSaved(t *testing.T, dir, from string) {
	t.Helper()
	checkFrames(t, filepath.Join(dir, "audio-from-"+from+".ogg"), clips.Melody, func(r io.Reader) (frames, error) {
		return media.NewOggReader(r)
	})
	checkFrames(t, filepath.Join(dir, "video-from-"+from+".ivf"), clips.Pattern, func(r io.Reader) (frames, error) {
		return media.NewIVFReader(r)
	})
}

// framesOf is how many frames of a clip last as long as the call.
func framesOf(t *testing.T, load func() (*clips.Clip, error)) (n int) {
	t.Helper()
	clip, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for played := time.Duration(0); played < callLength; n++ {
		played += clip.Frames[n%len(clip.Frames)].Duration
	}
	return n
}

type frames interface{ Next() (media.Sample, error) }

func checkFrames(t *testing.T, path string, load func() (*clips.Clip, error), open func(io.Reader) (frames, error)) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	reader, err := open(bytes.NewReader(content))
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	n := -1
	for ; err == nil; n++ {
		_, err = reader.Next()
	}
	if sent := framesOf(t, load); !errors.Is(err, io.EOF) || float64(n) < enough*float64(sent) {
		t.Errorf("%s: %v after %d frames of %d", path, err, n, sent)
	}
}

// checkFile compares a received file with what was sent.
func checkFile(t *testing.T, path string, want io.Reader) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, want); err != nil {
		t.Error(err)
	}
	if have := sha256.Sum256(got); !bytes.Equal(have[:], sum.Sum(nil)) {
		t.Errorf("%s is another file", path)
	}
}

func TestCallInOneProcess(t *testing.T) {
	dir := t.TempDir()
	p := start(t, nil, "-duration", callLength.String(), "-out", dir, "-message", "good morning")
	p.wait(t, 0)
	for _, want := range []string{
		"caller says: good morning\n", "callee says: Hello from the callee.\n", "The call was good.\n",
		"X25519MLKEM768", "opus/48000", "VP8/90000", "intact, 4 MiB",
	} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("the output has no %q:\n%s", want, p.out)
		}
	}
	for _, name := range []string{"caller", "callee"} {
		checkSaved(t, dir, name)
		checkFile(t, filepath.Join(dir, "from-"+name+"-"+name+".bin"), randomFile(name+".bin").content)
	}
}

func TestCallBetweenTwoProcesses(t *testing.T) {
	heard, said := t.TempDir(), t.TempDir()
	file := filepath.Join(t.TempDir(), "letter.txt")
	letter := strings.Repeat("Dear callee,\n", 100_000)
	if err := os.WriteFile(file, []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
	listener := start(t, nil, "-listen", "127.0.0.1:0", "-duration", "5s", "-out", heard)
	line := listener.out.waitFor(t, func(line string) bool { return strings.HasPrefix(line, "listening at ") })
	url := strings.TrimPrefix(line, "listening at ")

	t.Log("# the caller's media ends first: both hang up when they have sent as much")
	typed := strings.NewReader("a typed line\nanother one\x1b[2J\n")
	dialer := start(t, typed, "-dial", url, "-duration", callLength.String(), "-out", said, "-file", file)
	dialer.wait(t, 0)
	listener.wait(t, 0)
	for _, want := range []string{"caller says: a typed line\n", "caller says: another one[2J\n"} {
		if !strings.Contains(listener.out.String(), want) {
			t.Errorf("the listener's output has no %q:\n%s", want, listener.out)
		}
	}
	checkSaved(t, heard, "caller")
	checkSaved(t, said, "callee")
	checkFile(t, filepath.Join(heard, "from-caller-letter.txt"), strings.NewReader(letter))
	checkFile(t, filepath.Join(said, "from-callee-callee.bin"), randomFile("callee.bin").content)
}

func TestCtrlCHangsUp(t *testing.T) {
	p := start(t, nil, "-duration", "0", "-out", t.TempDir())
	p.out.waitFor(t, func(line string) bool { return strings.Count(line, "intact") == 2 })
	p.hangUp()
	p.wait(t, 0)
	if !strings.Contains(p.out.String(), "The call was good.") {
		t.Errorf("a call that was hung up in order is a good call:\n%s", p.out)
	}
}

func TestCtrlCWhileWaiting(t *testing.T) {
	p := start(t, nil, "-listen", "127.0.0.1:0", "-out", t.TempDir())
	p.out.waitFor(t, func(line string) bool { return strings.HasPrefix(line, "listening at ") })
	p.hangUp()
	p.wait(t, 1)
}

func TestNobodyListens(t *testing.T) {
	p := start(t, nil, "-listen", "127.0.0.1:0", "-out", t.TempDir())
	line := p.out.waitFor(t, func(line string) bool { return strings.HasPrefix(line, "listening at ") })
	p.hangUp()
	p.wait(t, 1)
	late := start(t, nil, "-dial", strings.TrimPrefix(line, "listening at "), "-out", t.TempDir())
	late.wait(t, 1)
	if !strings.Contains(late.out.String(), "calling http://127.0.0.1:") {
		t.Errorf("the error does not say what failed:\n%s", late.out)
	}
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
	}{
		{"-help", 0},
		{"-nonsense", 2},
		{"-listen :0 -dial http://localhost:1", 2},
		{"-duration -1s", 2},
		{"argument", 2},
		{"-file /nonexistent/file", 1},
	} {
		start(t, nil, append(strings.Fields(c.args), "-out", t.TempDir())...).wait(t, c.status)
	}
}

// TestPeerLeaves kills one side in the middle of the call: the other one must notice, and its call was not good.
func TestPeerLeaves(t *testing.T) {
	toCallee, toCaller := newMailbox(), newMailbox()
	out := newTranscript()
	s := newScreen(out)
	o := options{out: t.TempDir()}
	newSide := func(name, other string, in, out *mailbox) *peer {
		side, _, err := o.side(name, other, s, in, out)
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPeer(side)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	caller, callee := newSide("caller", "callee", toCaller, toCallee), newSide("callee", "caller", toCallee, toCaller)
	crash, crashed := context.WithCancel(context.Background())
	defer crashed()
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := caller.run(crash, context.Background(), true); !errors.Is(err, context.Canceled) {
			t.Errorf("the one that left: %v", err)
		}
	})
	both.Go(func() {
		r, err := callee.run(context.Background(), context.Background(), false)
		if !errors.Is(err, errPeerLeft) {
			t.Errorf("the one that stayed: %v", err)
		}
		if r == nil || r.SetUp == 0 {
			t.Error("there is no report of what went well before")
		}
	})
	out.waitFor(t, func(line string) bool { return strings.HasPrefix(line, "caller says: ") })
	crashed()
	both.Wait()
}
