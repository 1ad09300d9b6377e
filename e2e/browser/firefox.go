package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func firefoxArgs(profile string) []string {
	return []string{"--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", profile}
}

// firefoxPrefs: fake media without questions, no talk with the outside, and no throttling of tabs in the background.
const firefoxPrefs = `
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("media.peerconnection.ice.loopback", true);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("media.gmp-provider.enabled", false);
user_pref("media.autoplay.default", 0);
user_pref("media.autoplay.blocking_policy", 0);
user_pref("media.suspend-background-video.enabled", false);
user_pref("dom.min_background_timeout_value", 10);
user_pref("dom.timeout.enable_budget_timer_throttling", false);
user_pref("remote.active-protocols", 1);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("app.normandy.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
`

func writeFirefoxPrefs(profile string, o Options) error {
	prefs := firefoxPrefs + fmt.Sprintf("user_pref(%q, %t);\n", "media.peerconnection.ice.obfuscate_host_addresses", o.HideAddresses)
	if o.NoPostQuantum {
		prefs += "user_pref(\"media.webrtc.enable_pq_hybrid_kex\", false);\n"
	}
	if o.Names != "" {
		prefs += fmt.Sprintf("user_pref(\"network.dns.forceResolve\", %q);\n", o.Names)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o600); err != nil {
		return fmt.Errorf("browser: %w", err)
	}
	return nil
}

// firefoxURL finds the address in the line that Firefox writes to its standard error.
func firefoxURL(line string) (string, bool) {
	base, ok := strings.CutPrefix(line, "WebDriver BiDi listening on ")
	return base + "/session", ok
}

// biDi speaks WebDriver BiDi: a tab is a browsing context.
type biDi struct{ conn *rpc }

func newBiDi(ctx context.Context, conn *rpc, trustAll bool) (*biDi, error) {
	wanted := map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": trustAll}}
	if err := conn.call(ctx, "", "session.new", map[string]any{"capabilities": wanted}, nil); err != nil {
		return nil, err
	}
	events := map[string]any{"events": []string{"log.entryAdded"}}
	return &biDi{conn: conn}, conn.call(ctx, "", "session.subscribe", events, nil)
}

func (b *biDi) open(ctx context.Context, url string) (string, error) {
	var made struct{ Context string }
	if err := b.conn.call(ctx, "", "browsingContext.create", map[string]any{"type": "tab"}, &made); err != nil {
		return "", err
	}
	navigate := map[string]any{"context": made.Context, "url": url, "wait": "complete"}
	return made.Context, b.conn.call(ctx, "", "browsingContext.navigate", navigate, nil)
}

func (b *biDi) evaluate(ctx context.Context, tab, expression string) (string, error) {
	var out struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err := b.conn.call(ctx, "", "script.evaluate", map[string]any{
		"expression": expression, "target": map[string]any{"context": tab}, "awaitPromise": true, "userActivation": true,
	}, &out)
	if err != nil {
		return "", err
	}
	if out.Type != "success" {
		return "", fmt.Errorf("browser: %s", out.ExceptionDetails.Text)
	}
	return out.Result.Value, nil
}

func (b *biDi) close(ctx context.Context, tab string) error {
	return b.conn.call(ctx, "", "browsingContext.close", map[string]any{"context": tab}, nil)
}
