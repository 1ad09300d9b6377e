package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openparley/webrtc"
)

func request(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestSignalingAPI(t *testing.T) {
	in, out := newMailbox(), newMailbox()
	server := httptest.NewServer(newSwitchboard(in, out).handler())
	defer server.Close()
	want := func(what string, got, status int) {
		t.Helper()
		if got != status {
			t.Errorf("%s: status %d, want %d", what, got, status)
		}
	}
	status, _ := request(t, "POST", server.URL+"/calls/guess", "[]")
	want("a call that is not there", status, 404)

	d, err := dial(t.Context(), server.URL, in, out)
	if err != nil {
		t.Fatal(err)
	}
	defer d.client.CloseIdleConnections()
	_, err = dial(t.Context(), server.URL, in, out)
	if err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("a second call: %v", err)
	}
	status, _ = request(t, "POST", d.call, "{nonsense")
	want("nonsense", status, 400)
	status, _ = request(t, "GET", d.call+"?after=x", "")
	want("no number", status, 400)
	status, _ = request(t, "POST", d.call, `[{"candidate": {"candidate": "candidate:1", "sdpMid": "0"}}]`)
	want("a candidate", status, 204)
	signals, err := in.after(t.Context(), 0)
	if err != nil || len(signals) != 1 || *signals[0].Candidate.SDPMid != "0" {
		t.Errorf("%+v, %v", signals, err)
	}
	offer := &webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: "v=0"}
	if err := out.put(signal{Description: offer}, signal{Candidate: &webrtc.ICECandidateInit{}}); err != nil {
		t.Error(err)
	}
	_, answer := request(t, "GET", d.call+"?after=0", "")
	if !strings.HasPrefix(answer, `[{"description":{"type":"offer","sdp":"v=0"}},{"candidate":`) {
		t.Errorf("signals %s", answer)
	}
	_, answer = request(t, "GET", d.call+"?after=1", "")
	if !strings.HasPrefix(answer, `[{"candidate":`) {
		t.Errorf("signals behind the first %s", answer)
	}
	status, _ = request(t, "DELETE", d.call, "")
	want("the end", status, 204)
	status, _ = request(t, "POST", d.call, `[{}]`)
	want("behind the end", status, 410)
	if _, err := in.after(t.Context(), 1); !errors.Is(err, errMailboxClosed) {
		t.Errorf("reading behind the end: %v", err)
	}
}

func TestMailboxIsBounded(t *testing.T) {
	m := newMailbox()
	if err := m.put(make([]signal, maxSignals)...); err != nil {
		t.Error(err)
	}
	if err := m.put(signal{}); !errors.Is(err, errMailboxClosed) {
		t.Errorf("one too many: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.after(ctx, maxSignals); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a context that has ended: %v", err)
	}
}
