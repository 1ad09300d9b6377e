package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openparley/webrtc"
	clips "github.com/openparley/webrtc/examples/call/media"
)

//go:embed page
var page embed.FS

const (
	maxVisitors    = 50
	maxSignalBytes = 1 << 20
	chatHistory    = 20 // lines that a new visitor sees
	writeTimeout   = 10 * time.Second
)

// A server knows all visitors. Its methods may be called from any goroutine.
type server struct {
	api             *webrtc.API
	configuration   webrtc.Configuration
	melody, pattern *clips.Clip
	out             io.Writer
	calls           sync.WaitGroup

	mu       sync.Mutex // guards what follows
	ended    bool       // no new calls
	present  int        // calls
	count    int        // of all visitors ever
	visitors map[string]*visitor
	chats    map[*visitor]*webrtc.DataChannel
	lines    []chatLine
}

func newServer(stun string, out io.Writer) (*server, error) {
	api, err := webrtc.NewAPI(webrtc.Settings{IncludeLoopback: true, Codecs: codecs()})
	if err != nil {
		return nil, err
	}
	s := &server{
		api: api, out: out,
		visitors: make(map[string]*visitor), chats: make(map[*visitor]*webrtc.DataChannel),
	}
	if stun != "" {
		s.configuration.ICEServers = []webrtc.ICEServer{{URLs: []string{stun}}}
	}
	// A wrong configuration is to be known now, not with the first visitor.
	trial, err := api.NewPeerConnection(s.configuration)
	if err != nil {
		return nil, err
	}
	_ = trial.Close()
	if s.melody, err = clips.Melody(); err != nil {
		return nil, err
	}
	s.pattern, err = clips.Pattern()
	return s, err
}

// codecs leaves one codec of each kind, that of the clips, so that what comes back can be switched between a visitor's
// own media and a clip without negotiation.
func codecs() []webrtc.RTPCodecParameters {
	all := webrtc.DefaultCodecs()
	video := slices.IndexFunc(all, func(c webrtc.RTPCodecParameters) bool {
		return strings.EqualFold(c.MimeType, webrtc.MimeTypeVP8)
	})
	repair := fmt.Sprintf("apt=%d", all[video].PayloadType)
	return slices.DeleteFunc(all, func(c webrtc.RTPCodecParameters) bool {
		return !strings.EqualFold(c.MimeType, webrtc.MimeTypeOpus) && c.PayloadType != all[video].PayloadType && c.SDPFmtpLine != repair
	})
}

// handler serves the page and the signaling of calls: GET /call is a stream of server-sent events, each a signal as JSON,
// and lasts as long as the call; POST /call/ID takes a list of the page's signals.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	files, err := fs.Sub(page, "page")
	if err != nil { // the directory is embedded: it is there
		files = page
	}
	mux.Handle("GET /", policy(http.FileServerFS(files)))
	mux.HandleFunc("GET /call", s.call)
	mux.HandleFunc("POST /call/{id}", s.receive)
	// Pages of other sites may not call.
	return http.NewCrossOriginProtection().Handler(mux)
}

// policy keeps the page from loading anything from elsewhere.
func policy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// call is one visitor's call, from the first signal to the last. It ends when the page goes away, or the server.
func (s *server) call(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		http.Error(w, "there are too many visitors", http.StatusServiceUnavailable)
		return
	}
	defer s.done()
	v, err := s.newVisitor()
	if err != nil {
		http.Error(w, "no connection", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	err = v.run(r.Context(), func(signal *signal) error {
		event := []byte(": are you there?\n\n") // a comment
		if signal != nil {
			text, err := json.Marshal(signal)
			if err != nil {
				return err
			}
			event = fmt.Appendf(nil, "data: %s\n\n", text)
		}
		if err := stream.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(event); err != nil {
			return err
		}
		return stream.Flush()
	})
	if errors.Is(err, context.Canceled) { // the page has gone
		s.printf("%s has left", v.name)
	} else {
		s.printf("%s has left: %v", v.name, err)
	}
}

// receive gives a page's signals to its visitor.
func (s *server) receive(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	v := s.visitors[r.PathValue("id")]
	s.mu.Unlock()
	if v == nil {
		http.NotFound(w, r)
		return
	}
	var signals []signal
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSignalBytes)).Decode(&signals); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, signal := range signals {
		v.receive(signal)
	}
	w.WriteHeader(http.StatusNoContent)
}

// begin counts a call, unless the server is full or ends.
func (s *server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.present >= maxVisitors {
		return false
	}
	s.present++
	s.calls.Add(1)
	return true
}

func (s *server) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present--
	s.calls.Done()
}

// end waits for the calls, and lets no more begin.
func (s *server) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.calls.Wait()
}

// A chatLine is one line of the chat, as the page gets it.
type chatLine struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// maxLine is how many bytes of a line are passed on.
const maxLine = 2000

// say gives a line to all visitors. It may be called in handlers: sending to a data channel never waits.
func (s *server) say(line chatLine) {
	if len(line.Text) > maxLine {
		line.Text = strings.ToValidUTF8(line.Text[:maxLine], "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	if len(s.lines) > chatHistory {
		s.lines = slices.Delete(s.lines, 0, len(s.lines)-chatHistory)
	}
	for _, chat := range s.chats {
		show(chat, line)
	}
}

// show fails when the channel closes, or when megabytes wait for a page that has stopped to read: then it misses the line.
func show(chat *webrtc.DataChannel, line chatLine) {
	if text, err := json.Marshal(line); err == nil {
		_ = chat.SendText(string(text))
	}
}

// join lets a visitor take part in the chat, and shows what was said last.
func (s *server) join(v *visitor, chat *webrtc.DataChannel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		show(chat, line)
	}
	s.chats[v] = chat
}

// arrive lets the page's signals find the visitor.
func (s *server) arrive(v *visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visitors[v.id] = v
}

func (s *server) leave(v *visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.visitors, v.id)
	delete(s.chats, v)
}

// name makes a name for a new visitor.
func (s *server) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	return fmt.Sprintf("visitor %d", s.count)
}

func (s *server) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.out, format+"\n", args...)
}
