package e2e

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/openparley/webrtc/e2e/browser"
	"github.com/openparley/webrtc/e2e/lab"
)

// until wraps a condition, which may be a promise, into a function that waits for it.
func until(condition string) string {
	return `async () => {
		while (!(await (` + condition + `))) await new Promise(resolve => setTimeout(resolve, 50));
	}`
}

// decoded is how many frames of the size the page has decoded, in all its video.
const decoded = `(async (width) => {
	for (const s of (await call.pc.getStats()).values()) {
		if (s.type === 'inbound-rtp' && s.kind === 'video' && s.frameWidth === width) return s.framesDecoded;
	}
	return 0;
})`

// TestBrowserExample visits the page of examples/browser as a person would: watches the clip, turns the camera on and sees
// it come back, says a line that another visitor reads, turns the camera off.
func TestBrowserExample(t *testing.T) {
	lab.Alone(t)
	for _, kind := range browsers {
		t.Run(string(kind), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			url := serveBrowserExample(t)
			b, _ := launch(t, kind, lab.Host{})
			visit := func() *browser.Page {
				tab, err := b.Open(ctx, url)
				if err != nil {
					t.Fatal(err)
				}
				return tab
			}
			page := visit()
			wait := func(page *browser.Page, condition string) {
				t.Helper()
				if err := page.Call(ctx, nil, until(condition)); err != nil {
					var state any
					_ = page.Call(context.WithoutCancel(ctx), &state, `() => [document.body.innerText, call.pc.connectionState]`)
					t.Fatalf("%s: %v\n%v", condition, err, state)
				}
			}
			do := func(page *browser.Page, action string) {
				t.Helper()
				if err := page.Call(ctx, nil, "async () => { "+action+" }"); err != nil {
					t.Fatal(err)
				}
			}

			t.Log("# the clip")
			wait(page, `document.getElementById('state').textContent === 'connected'`)
			wait(page, `document.getElementById('remote').videoWidth > 0`)
			wait(page, decoded+`(document.getElementById('remote').videoWidth).then(frames => frames > 10)`)
			wait(page, `document.getElementById('figures').textContent.includes('DTLS 1.')`)

			t.Log("# the camera, and back")
			do(page, `document.getElementById('camera').click()`)
			wait(page, `document.getElementById('camera').getAttribute('aria-pressed') === 'true'`)
			wait(page, decoded+`(640).then(frames => frames > 10)`)

			t.Log("# a second visitor reads what is said")
			other := visit()
			wait(other, `document.getElementById('state').textContent === 'connected' && call.chat?.readyState === 'open'`)
			do(page, `document.getElementById('line').value = 'good evening'; document.getElementById('say').requestSubmit()`)
			for _, p := range []*browser.Page{page, other} {
				wait(p, `document.getElementById('lines').textContent.includes('good evening')`)
			}

			t.Log("# the camera off")
			do(page, `document.getElementById('camera').click()`)
			wait(page, `document.getElementById('camera').getAttribute('aria-pressed') === 'false'`)
			wait(page, `document.getElementById('remote').videoWidth !== 640`)
			for _, p := range []*browser.Page{other, page} {
				if err := p.Close(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// serveBrowserExample runs the program for as long as the test lasts and returns the address of its page. At the end it
// must leave in peace when it is asked to.
func serveBrowserExample(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit) // it outlives the test's own context
	cmd := example(ctx, lab.Host{}, "browser", "-addr", "127.0.0.1:0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	found := make(chan string, 1)
	var said []string
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(found)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			said = append(said, lines.Text())
			if url, ok := strings.CutPrefix(lines.Text(), "open "); ok && len(found) == 0 {
				found <- url
			}
		}
	})
	t.Cleanup(func() {
		defer cancel()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		reading.Wait()
		err := cmd.Wait()
		if err != nil || t.Failed() {
			t.Errorf("the program: %v\n%s\n%s", err, strings.Join(said, "\n"), stderr.String())
		}
	})
	url, ok := <-found
	if !ok {
		t.Fatal("the program has ended")
	}
	return url
}
