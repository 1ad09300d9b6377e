// Package browser starts real browsers without a window and evaluates JavaScript in their pages: Chromium over the
// DevTools protocol, Firefox over WebDriver BiDi, both spoken here directly, so that nothing but the browsers themselves
// has to be installed.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/openparley/webrtc/e2e/lab"
)

// Kind says which browser.
type Kind string

// The browsers that can be driven. The value names the command.
const (
	Chromium Kind = "chromium"
	Firefox  Kind = "firefox-esr"
)

// Browser is one running browser with a profile of its own. Safe for concurrent use.
type Browser struct {
	kind     Kind
	trustAll bool
	cmd      *exec.Cmd
	exited   chan struct{}
	profile  string
	conn     *rpc
	driver   driver
	log      *tail
}

// driver is what the two protocols do differently.
type driver interface {
	// open makes a tab that has loaded url and returns its name.
	open(ctx context.Context, url string) (string, error)
	// evaluate runs an expression, waits for its promise and returns its value, a string.
	evaluate(ctx context.Context, tab, expression string) (string, error)
	close(ctx context.Context, tab string) error
}

// Options say how a browser is started. The zero value is good for most tests.
type Options struct {
	Host lab.Host
	// HideAddresses keeps the browser's habit of showing names of multicast DNS in place of its addresses.
	HideAddresses bool
	// NoPostQuantum leaves ML-KEM out of the browser's DTLS.
	NoPostQuantum bool
	// Names makes every host name stand for this address, in Firefox; Chromium does without names. Empty: as elsewhere.
	Names string
	// TrustAll makes the browser take any certificate of a TLS server.
	TrustAll bool
}

// Launch starts a browser. The context bounds the start alone.
func Launch(ctx context.Context, kind Kind, o Options) (*Browser, error) {
	profile, err := os.MkdirTemp("", "parley-"+string(kind)+"-")
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	b := &Browser{kind: kind, trustAll: o.TrustAll, profile: profile, exited: make(chan struct{}), log: &tail{}}
	args, urlIn := chromiumArgs(profile, o), chromiumURL
	if kind == Firefox {
		args, urlIn = firefoxArgs(profile), firefoxURL
		if err := writeFirefoxPrefs(profile, o); err != nil {
			return nil, errors.Join(err, os.RemoveAll(profile))
		}
	}
	b.cmd = o.Host.Command(string(kind), args...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its children can be ended with it
	b.cmd.Env = append(os.Environ(), "MOZ_HEADLESS=1", "HOME="+profile, "XDG_RUNTIME_DIR="+profile)
	stderr, err := b.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("browser: %w", err), os.RemoveAll(profile))
	}
	if err := b.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("browser: %w", err), os.RemoveAll(profile))
	}
	url := make(chan string, 1)
	go b.watch(stderr, urlIn, url)
	select {
	case u := <-url:
		err = b.connect(ctx, o.Host, u)
	case <-b.exited:
		err = fmt.Errorf("browser: %s ended at once", kind)
	case <-ctx.Done():
		err = fmt.Errorf("browser: %s did not start: %w", kind, context.Cause(ctx))
	}
	if err != nil {
		err = fmt.Errorf("%w; it said:\n%s", err, b.log)
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// watch reads what the browser says, finds the address of its debugging port in it, and reaps the process.
func (b *Browser) watch(stderr io.Reader, urlIn func(line string) (string, bool), found chan<- string) {
	defer close(b.exited)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		b.log.add(lines.Text())
		if u, ok := urlIn(lines.Text()); ok {
			select {
			case found <- u:
			default:
			}
		}
	}
	_, _ = io.Copy(io.Discard, stderr)
	_ = b.cmd.Wait() // killed by Close, as a rule
}

func (b *Browser) connect(ctx context.Context, host lab.Host, url string) error {
	conn, err := dialRPC(ctx, host.DialContext, url, b.event)
	if err != nil {
		return err
	}
	b.conn = conn
	if b.kind == Firefox {
		b.driver, err = newBiDi(ctx, conn, b.trustAll)
	} else {
		b.driver = &devTools{conn: conn}
	}
	return err
}

// event keeps what pages write to their console, for the report of a failed test.
func (b *Browser) event(method string, params json.RawMessage) {
	switch method {
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "log.entryAdded":
		b.log.add(method + " " + string(params))
	}
}

// Log returns the last lines that the browser and its pages' consoles wrote.
func (b *Browser) Log() string { return b.log.String() }

// Close ends the browser and removes its profile. Idempotent.
func (b *Browser) Close() error {
	if b.conn != nil {
		b.conn.close()
	}
	if err := syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("browser: %w", err)
	}
	<-b.exited
	if err := os.RemoveAll(b.profile); err != nil {
		// A grandchild may write its last file while the directory is being removed.
		return os.RemoveAll(b.profile)
	}
	return nil
}

// Page is one tab. Safe for concurrent use.
type Page struct {
	browser *Browser
	tab     string
}

// Open opens a tab on url and waits until it has loaded.
func (b *Browser) Open(ctx context.Context, url string) (*Page, error) {
	tab, err := b.driver.open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(url), err)
	}
	return &Page{browser: b, tab: tab}, nil
}

// Call calls the JavaScript function with args (as JSON), waits for its promise, and decodes what it returns into
// result, which may be nil. A thrown exception is an error.
func (p *Page) Call(ctx context.Context, result any, function string, args ...any) error {
	list := make([]string, len(args))
	for i, a := range args {
		data, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("browser: %s: %w", function, err)
		}
		list[i] = string(data)
	}
	expression := fmt.Sprintf("(async () => JSON.stringify(await (%s)(%s)) ?? 'null')()", function, strings.Join(list, ", "))
	value, err := p.browser.driver.evaluate(ctx, p.tab, expression)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", p.browser.kind, function, err)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(value), result); err != nil {
		return fmt.Errorf("browser: %s: %w", function, err)
	}
	return nil
}

// Close closes the tab.
func (p *Page) Close(ctx context.Context) error { return p.browser.driver.close(ctx, p.tab) }

// tail keeps the last lines of a log.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > 100 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
