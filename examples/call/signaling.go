package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Signaling between two processes is a small JSON API of the side that listens. A signal is
// {"description": {"type": "offer", "sdp": "…"}} or {"candidate": {"candidate": "candidate:…", "sdpMid": "0", …}}, as
// browsers write them.
//
//	POST   /calls              begins the call (there is one): 201 and {"id": "…"}, or 409 when it has begun already
//	POST   /calls/ID           a list of signals for the listener: 204
//	GET    /calls/ID?after=N   the listener's signals behind the first N, as a list; waits for one up to pollTimeout
//	DELETE /calls/ID           ends signaling: 204
//
// Everything after the end is 410.
const (
	pollTimeout    = 20 * time.Second
	maxSignalBytes = 1 << 20
)

// A switchboard is the listening side: it takes one call.
type switchboard struct {
	in, out *mailbox
	// begun is closed when the call begins.
	begun chan struct{}

	mu sync.Mutex
	id string // guarded by mu; empty before the call
}

func newSwitchboard(in, out *mailbox) *switchboard {
	return &switchboard{in: in, out: out, begun: make(chan struct{})}
}

func (s *switchboard) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /calls", s.begin)
	mux.HandleFunc("POST /calls/{id}", s.known(s.receive))
	mux.HandleFunc("GET /calls/{id}", s.known(s.deliver))
	mux.HandleFunc("DELETE /calls/{id}", s.known(func(w http.ResponseWriter, _ *http.Request) {
		s.in.close()
		w.WriteHeader(http.StatusNoContent)
	}))
	// Pages of other sites have no business here, even if they know the address.
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *switchboard) begin(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != "" {
		http.Error(w, "busy", http.StatusConflict)
		return
	}
	// Whoever knows the id may speak for the caller.
	s.id = rand.Text()
	close(s.begun)
	writeJSON(w, http.StatusCreated, map[string]string{"id": s.id})
}

// known lets only requests through that name the call.
func (s *switchboard) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		id := s.id
		s.mu.Unlock()
		if id == "" || r.PathValue("id") != id {
			http.NotFound(w, r)
			return
		}
		next(w, r)
	}
}

func (s *switchboard) receive(w http.ResponseWriter, r *http.Request) {
	var signals []signal
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSignalBytes)).Decode(&signals); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.in.put(signals...); err != nil {
		http.Error(w, err.Error(), http.StatusGone)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *switchboard) deliver(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil {
		http.Error(w, "after: a number, please", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pollTimeout)
	defer cancel()
	switch signals, err := s.out.after(ctx, after); {
	case errors.Is(err, errMailboxClosed):
		http.Error(w, err.Error(), http.StatusGone)
	case err != nil:
		writeJSON(w, http.StatusOK, []signal{})
	default:
		writeJSON(w, http.StatusOK, signals)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error means that nobody reads it
}

// listen serves the switchboard at addr until ctx ends; the function that it returns waits for that end.
func (s *switchboard) listen(ctx context.Context, addr string) (url string, wait func(), err error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // it ends with Shutdown
	}()
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	wait = func() { <-stopped; <-served }
	return "http://" + listener.Addr().String(), wait, nil
}

// A dialer is the calling side: it carries what is in out to the switchboard, and what the switchboard has into in.
type dialer struct {
	in, out *mailbox
	client  *http.Client
	call    string // the call's URL
}

// dial begins the call at url.
func dial(ctx context.Context, url string, in, out *mailbox) (*dialer, error) {
	d := &dialer{in: in, out: out, client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}}
	base := strings.TrimSuffix(url, "/") + "/calls"
	if !strings.Contains(url, "://") {
		base = "http://" + base
	}
	var begun struct {
		ID string `json:"id"`
	}
	if err := d.do(ctx, http.MethodPost, base, nil, &begun); err != nil {
		return nil, fmt.Errorf("calling %s: %w", url, err)
	}
	d.call = base + "/" + begun.ID
	return d, nil
}

// run carries signals until ctx ends, and then ends signaling.
func (d *dialer) run(ctx context.Context) {
	defer d.client.CloseIdleConnections()
	var both sync.WaitGroup
	both.Go(func() { d.send(ctx) })
	both.Go(func() { d.poll(ctx) })
	both.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = d.do(last, http.MethodDelete, d.call, nil, nil) // the listener may be gone already
}

func (d *dialer) send(ctx context.Context) {
	defer d.in.close()
	for sent := 0; ; {
		signals, err := d.out.after(ctx, sent)
		if err == nil {
			err = d.do(ctx, http.MethodPost, d.call, signals, nil)
		}
		if err != nil {
			return
		}
		sent += len(signals)
	}
}

func (d *dialer) poll(ctx context.Context) {
	defer d.in.close()
	for received := 0; ; {
		var signals []signal
		err := d.do(ctx, http.MethodGet, d.call+"?after="+strconv.Itoa(received), nil, &signals)
		if err == nil {
			err = d.in.put(signals...)
		}
		if err != nil {
			return
		}
		received += len(signals)
	}
}

// do makes one request. body and result are JSON; nil means none.
func (d *dialer) do(ctx context.Context, method, url string, body, result any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, &content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := d.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	limited := io.LimitReader(response.Body, maxSignalBytes)
	if response.StatusCode/100 != 2 {
		reason, _ := io.ReadAll(limited)
		return fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(reason))
	}
	if result == nil {
		return nil
	}
	return json.NewDecoder(limited).Decode(result)
}
