package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openparley/webrtc/e2e/lab"
)

// examplesDir tells the process inside the namespace where the programs are. They are built outside, where modules can
// be fetched.
const examplesDir = "PARLEY_EXAMPLES"

// buildExamples builds the programs that the tests run, and returns how to remove them.
func buildExamples() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "parley-examples-")
	if err != nil {
		return nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	for name, args := range map[string][]string{"call": nil, "call-race": {"-race"}, "browser": {"-race"}, "turnserver": nil} {
		pkg, _, _ := strings.Cut(name, "-")
		args = append([]string{"-C", "..", "build", "-o", filepath.Join(dir, name)}, args...)
		if out, err := exec.Command("go", append(args, "./examples/"+pkg)...).CombinedOutput(); err != nil {
			remove()
			return nil, fmt.Errorf("go build ./examples/%s: %w\n%s", pkg, err, out)
		}
	}
	return remove, os.Setenv(examplesDir, dir)
}

// example prepares one of the programs.
func example(ctx context.Context, host lab.Host, name string, args ...string) *exec.Cmd {
	cmd := host.Command(filepath.Join(os.Getenv(examplesDir), name), args...)
	context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
	})
	return cmd
}

// TestCallExample makes the call of the README's first command, and has what it saved decoded.
func TestCallExample(t *testing.T) {
	lab.Alone(t)
	for _, program := range []string{"call", "call-race"} {
		t.Run(program, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			dir := t.TempDir()
			out, err := example(ctx, lab.Host{}, program, "-duration", "3s", "-out", dir).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			checkSaved(ctx, t, dir, 2)
		})
	}
}

// TestCallExampleTwoHosts makes the same call between two processes on two hosts without IPv4.
func TestCallExampleTwoHosts(t *testing.T) {
	far := lab.IPv6Only(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	heard, said := t.TempDir(), t.TempDir()
	listener := example(ctx, lab.Host{}, "call", "-listen", "[fd77::1]:0", "-duration", "3s", "-out", heard)
	stdout, err := listener.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	url := ""
	for url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, after, ok := strings.Cut(line, "listening at "); ok {
			url = strings.TrimSpace(after)
		}
	}
	if out, err := example(ctx, far, "call", "-dial", url, "-duration", "3s", "-out", said).CombinedOutput(); err != nil {
		t.Errorf("the caller: %v\n%s", err, out)
	}
	var rest bytes.Buffer
	if _, err := io.Copy(&rest, lines); err != nil {
		t.Error(err)
	}
	if err := listener.Wait(); err != nil {
		t.Errorf("the listener: %v\n%s", err, rest.Bytes())
	}
	checkSaved(ctx, t, heard, 1)
	checkSaved(ctx, t, said, 1)
}

// checkSaved has ffprobe decode the media that a call of 3 s has saved: n files of each kind.
func checkSaved(ctx context.Context, t *testing.T, dir string, n int) {
	t.Helper()
	for _, kind := range []struct {
		files, stream string
		atLeast       int
	}{{"*.ivf", "v", 60}, {"*.ogg", "a", 130}} {
		files, err := filepath.Glob(filepath.Join(dir, kind.files))
		if err != nil || len(files) != n {
			t.Errorf("%d files %s, want %d (%v)", len(files), kind.files, n, err)
		}
		for _, file := range files {
			frames, err := countFrames(ctx, file, kind.stream)
			if err != nil || frames < kind.atLeast {
				t.Errorf("%s: %d frames can be decoded, want at least %d (%v)", filepath.Base(file), frames, kind.atLeast, err)
			}
		}
	}
}
