package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

func chromiumArgs(profile string, o Options) []string {
	args := []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		// A tab in the background is a peer like any other.
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
		"--autoplay-policy=no-user-gesture-required",
		"--use-fake-device-for-media-stream", "--remote-debugging-port=0", "--user-data-dir=" + profile,
	}
	if o.TrustAll {
		args = append(args, "--ignore-certificate-errors")
	}
	var without []string  // one switch for all features: the last one counts
	if !o.HideAddresses { // who is allowed to use the camera is shown addresses
		args = append(args, "--use-fake-ui-for-media-stream")
		without = append(without, "WebRtcHideLocalIpsWithMdns")
	}
	if o.NoPostQuantum {
		without = append(without, "WebRtcPqcForDtls")
	}
	return append(args, "--disable-features="+strings.Join(without, ","))
}

// chromiumURL finds the address in the line that Chromium writes to its standard error.
func chromiumURL(line string) (string, bool) {
	return strings.CutPrefix(line, "DevTools listening on ")
}

// devTools speaks the Chrome DevTools protocol: a target is a tab, and a session is what commands for it are sent on.
type devTools struct {
	conn *rpc

	mu      sync.Mutex
	targets map[string]string // by session
}

func (d *devTools) open(ctx context.Context, url string) (string, error) {
	var target struct{ TargetID string }
	if err := d.conn.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return "", err
	}
	var session struct{ SessionID string }
	attach := map[string]any{"targetId": target.TargetID, "flatten": true}
	if err := d.conn.call(ctx, "", "Target.attachToTarget", attach, &session); err != nil {
		return "", err
	}
	d.mu.Lock()
	if d.targets == nil {
		d.targets = make(map[string]string)
	}
	d.targets[session.SessionID] = target.TargetID
	d.mu.Unlock()
	tab := session.SessionID
	for _, enable := range []string{"Runtime.enable", "Page.enable"} {
		if err := d.conn.call(ctx, tab, enable, struct{}{}, nil); err != nil {
			return "", err
		}
	}
	var navigated struct{ ErrorText string }
	if err := d.conn.call(ctx, tab, "Page.navigate", map[string]any{"url": url}, &navigated); err != nil {
		return "", err
	}
	if navigated.ErrorText != "" {
		return "", fmt.Errorf("browser: %s: %s", url, navigated.ErrorText)
	}
	// Navigation has committed: what is evaluated now runs in the new document, which may still be loading.
	loaded := `new Promise(r => document.readyState === 'complete' ? r('') : addEventListener('load', () => r('')))`
	_, err := d.evaluate(ctx, tab, loaded)
	return tab, err
}

func (d *devTools) evaluate(ctx context.Context, tab, expression string) (string, error) {
	var out struct {
		Result           struct{ Value any } // an object when something was thrown
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := d.conn.call(ctx, tab, "Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}, &out)
	if err != nil {
		return "", err
	}
	if e := out.ExceptionDetails; e != nil {
		return "", fmt.Errorf("browser: %s %s", e.Text, e.Exception.Description)
	}
	value, _ := out.Result.Value.(string)
	return value, nil
}

func (d *devTools) close(ctx context.Context, tab string) error {
	d.mu.Lock()
	target := d.targets[tab]
	delete(d.targets, tab)
	d.mu.Unlock()
	return d.conn.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": target}, nil)
}
