package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/openparley/webrtc"
)

// TestMain fails when a goroutine outlives the tests.
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

// limit is far more than anything in the tests takes.
const limit = 60 * time.Second

// site is the program, running.
type site struct {
	t      *testing.T
	url    string
	end    context.CancelFunc
	status chan int
}

func startSite(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &site{t: t, end: cancel, status: make(chan int, 1)}
	reader, writer := io.Pipe()
	go func() {
		s.status <- run(ctx, []string{"-addr", "127.0.0.1:0"}, writer, io.Discard)
		writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	if !lines.Scan() {
		t.Fatal("the program says nothing")
	}
	s.url = strings.TrimPrefix(lines.Text(), "open ")
	go func() {
		for lines.Scan() { // nobody reads what else it says
		}
	}()
	t.Cleanup(s.stop)
	return s
}

// stop ends the program as Ctrl-C does, and waits for it.
func (s *site) stop() {
	s.t.Helper()
	if s.status == nil {
		return
	}
	s.end()
	if status := within(s.t, "end of the program", s.status); status != 0 {
		s.t.Errorf("exit status %d", status)
	}
	s.status = nil
}

func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(limit):
		t.Fatalf("%s: nothing in %v", what, limit)
	}
	return v
}

// visit plays the part of page.js: a browser of our own.
type visit struct {
	t       *testing.T
	site    *site
	pc      *webrtc.PeerConnection
	id      string
	leave   context.CancelFunc
	left    chan struct{} // closed when the stream of signals has ended
	chat    *webrtc.DataChannel
	control *webrtc.DataChannel
	lines   chan chatLine
	stats   chan map[string]any
	audio   chan *rtp.Packet
	video   chan *rtp.Packet
	ready   sync.WaitGroup // channels that are not open yet
}

// visit comes to the site, with tracks to send if there are any, and waits until the call is up.
func (s *site) visit(tracks ...webrtc.TrackLocal) *visit {
	s.t.Helper()
	api, err := webrtc.NewAPI(webrtc.Settings{IncludeLoopback: true})
	if err != nil {
		s.t.Fatal(err)
	}
	v := &visit{
		t: s.t, site: s, left: make(chan struct{}), lines: make(chan chatLine, 100), stats: make(chan map[string]any, 1),
		audio: make(chan *rtp.Packet, 1000), video: make(chan *rtp.Packet, 1000),
	}
	if v.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v.leave = cancel
	s.t.Cleanup(v.close)
	v.pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		var candidate webrtc.ICECandidateInit
		if c != nil {
			candidate = c.ToJSON()
		}
		v.post(signal{Candidate: &candidate})
	})
	v.pc.OnNegotiationNeeded(func() {
		if err := v.pc.SetLocalDescription(webrtc.SessionDescription{}); err != nil {
			v.t.Error(err)
			return
		}
		v.post(signal{Description: v.pc.LocalDescription()})
	})
	v.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		packets := v.video
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			packets = v.audio
		}
		go read(track, packets)
	})
	v.ready.Add(2)
	go v.readSignals(ctx, tracks)
	open := make(chan struct{})
	go func() { v.ready.Wait(); close(open) }()
	within(s.t, "call", open)
	return v
}

// read keeps the packets that there is room for.
func read(track *webrtc.TrackRemote, packets chan<- *rtp.Packet) {
	for {
		p, err := track.ReadRTP()
		if err != nil {
			return
		}
		select {
		case packets <- p:
		default:
		}
	}
}

func (v *visit) close() {
	_ = v.pc.Close()
	v.leave()
	within(v.t, "end of the signals", v.left)
	<-v.pc.Done()
}

func (v *visit) readSignals(ctx context.Context, tracks []webrtc.TrackLocal) {
	defer close(v.left)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site.url+"/call", nil)
	if err != nil {
		v.t.Error(err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		v.t.Error(err)
		return
	}
	defer response.Body.Close()
	events := bufio.NewScanner(response.Body)
	events.Buffer(nil, maxSignalBytes)
	for events.Scan() {
		text, ok := strings.CutPrefix(events.Text(), "data: ")
		if !ok {
			continue
		}
		var s signal
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			v.t.Error(err)
		}
		v.pc.Post(func() {
			if err := v.apply(s, tracks); err != nil {
				v.t.Error(err)
			}
		})
	}
}

func (v *visit) apply(s signal, tracks []webrtc.TrackLocal) error {
	switch {
	case s.ID != "":
		v.id = s.ID
		return v.begin(tracks)
	case s.Description != nil:
		return v.pc.SetRemoteDescription(*s.Description)
	default:
		return v.pc.AddICECandidate(*s.Candidate)
	}
}

// begin runs in one piece on the signaling goroutine, so that there is one offer with everything in it.
func (v *visit) begin(tracks []webrtc.TrackLocal) (err error) {
	if v.chat, err = v.pc.CreateDataChannel(chatLabel, nil); err != nil {
		return err
	}
	v.chat.OnOpen(v.ready.Done)
	v.chat.OnMessage(func(m webrtc.DataChannelMessage) {
		var line chatLine
		if err := json.Unmarshal(m.Data, &line); err != nil {
			v.t.Error(err)
		}
		v.lines <- line
	})
	if v.control, err = v.pc.CreateDataChannel(controlLabel, nil); err != nil {
		return err
	}
	v.control.OnOpen(v.ready.Done)
	v.control.OnMessage(func(m webrtc.DataChannelMessage) {
		var stats map[string]any
		if err := json.Unmarshal(m.Data, &stats); err != nil {
			v.t.Error(err)
		}
		select {
		case v.stats <- stats:
		default:
		}
	})
	for _, track := range tracks {
		if _, err := v.pc.AddTransceiverFromTrack(track); err != nil {
			return err
		}
	}
	if len(tracks) == 0 {
		receive := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			if _, err := v.pc.AddTransceiverFromKind(kind, receive); err != nil {
				return err
			}
		}
	}
	return nil
}

// post sends a signal; it runs on the signaling goroutine, which keeps the order.
func (v *visit) post(s signal) {
	body, err := json.Marshal([]signal{s})
	if err != nil {
		v.t.Error(err)
		return
	}
	if status, text := request(v.t, http.MethodPost, v.site.url+"/call/"+v.id, body); status != http.StatusNoContent {
		v.t.Errorf("status %d: %s", status, text)
	}
}

func request(t *testing.T, method, url string, body []byte) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(content)
}

func TestPageIsServed(t *testing.T) {
	s := startSite(t)
	for path, want := range map[string]string{
		"/": `<script src="page.js">`, "/page.js": "EventSource", "/plot.js": "canvas", "/page.css": "color-scheme", "/icon.svg": "<svg",
	} {
		status, text := request(t, http.MethodGet, s.url+path, nil)
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: status %d, and no %q", path, status, want)
		}
		if strings.Contains(text, "://") && path != "/icon.svg" {
			t.Errorf("%s loads something from elsewhere", path)
		}
	}
}

func TestVisitorGetsTheClip(t *testing.T) {
	v := startSite(t).visit()
	for range 25 {
		within(t, "audio", v.audio)
	}
	for !beginsKeyFrame(within(t, "key frame", v.video).Payload) {
	}
	for range 20 {
		within(t, "video", v.video)
	}
	stats := within(t, "statistics", v.stats)
	if transport, ok := stats["T1"].(map[string]any); !ok || transport["type"] != "transport" {
		t.Errorf("the program's statistics have no transport: %v", stats)
	}
}

func TestChatGoesToAllVisitors(t *testing.T) {
	s := startSite(t)
	one, two := s.visit(), s.visit()
	// Both have joined when the program has heard both.
	say := func(v *visit, text string) {
		t.Helper()
		if err := v.chat.SendText(text); err != nil {
			t.Error(err)
		}
	}
	hear := func(v *visit, text string) string {
		t.Helper()
		for {
			if line := within(t, "line", v.lines); line.Text == text {
				return line.From
			}
		}
	}
	say(one, "hello")
	from := hear(one, "hello")
	say(two, "good morning")
	if other := hear(two, "good morning"); other == from {
		t.Errorf("both are called %q", other)
	}
	hear(one, "good morning")

	t.Log("# who comes later reads what was said")
	late := s.visit()
	hear(late, "hello")
	hear(late, "good morning")

	t.Log("# who has left is no hindrance")
	two.close()
	say(one, strings.Repeat("é", maxLine))
	if line := within(t, "long line", late.lines); len(line.Text) > maxLine || !strings.HasSuffix(line.Text, "é") {
		t.Errorf("a long line has %d bytes", len(line.Text))
	}
}

// TestMirror sends media that can be told from the clip, and wants it back.
func TestMirror(t *testing.T) {
	s := startSite(t)
	voice, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "voice", "me")
	if err != nil {
		t.Fatal(err)
	}
	face, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "face", "me")
	if err != nil {
		t.Fatal(err)
	}
	v := s.visit(voice, face)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for n := uint16(50000); ; n++ {
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
			header := rtp.Header{Version: 2, Marker: true, SequenceNumber: n, Timestamp: uint32(n) * 960}
			_ = voice.WriteRTP(&rtp.Packet{Header: header, Payload: []byte("\x08my voice")})
			_ = face.WriteRTP(&rtp.Packet{Header: header, Payload: []byte("\x10\x00my face")})
		}
	}()
	defer func() { close(stop); <-stopped }()

	show := func(what string) {
		t.Helper()
		if err := v.control.SendText(`{"show":"` + what + `"}`); err != nil {
			t.Error(err)
		}
	}
	// follow reads until it has seen the other source, and checks that the numbers go on.
	follow := func(packets <-chan *rtp.Packet, mine string, want bool) {
		t.Helper()
		before := within(t, "packet", packets)
		for {
			p := within(t, "packet", packets)
			if step := p.SequenceNumber - before.SequenceNumber; step == 0 || step > 10 {
				t.Errorf("sequence number %d after %d", p.SequenceNumber, before.SequenceNumber)
			}
			if int32(p.Timestamp-before.Timestamp) < 0 {
				t.Errorf("timestamp %d after %d", p.Timestamp, before.Timestamp)
			}
			before = p
			if strings.HasSuffix(string(p.Payload), mine) == want {
				return
			}
		}
	}
	show("mirror")
	follow(v.audio, "my voice", true)
	follow(v.video, "my face", true)
	show("clip")
	follow(v.audio, "my voice", false)
	follow(v.video, "my face", false)
}

func TestProgramEndsWithVisitors(t *testing.T) {
	s := startSite(t)
	v := s.visit()
	s.stop()
	within(t, "end of the signals", v.left)
}

func TestSignalingRefusesNonsense(t *testing.T) {
	s := startSite(t)
	v := s.visit()
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/call/guess", "[]", http.StatusNotFound},
		{"/call/" + v.id, "{", http.StatusBadRequest},
		{"/call/" + v.id, "[]", http.StatusNoContent},
	} {
		if status, _ := request(t, http.MethodPost, s.url+c.path, []byte(c.body)); status != c.status {
			t.Errorf("%q: status %d, want %d", c.body, status, c.status)
		}
	}
	t.Log("# a description that is none ends the visitor's call, not the program")
	if status, _ := request(t, http.MethodPost, s.url+"/call/"+v.id, []byte(`[{"description": {"type": "offer", "sdp": "no"}}]`)); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	within(t, "end of the signals", v.left)
	s.visit()
}

func TestCommandLine(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel() // so that a run that is good ends at once
	for args, want := range map[string]int{
		"-help": 0, "-nonsense": 2, "argument": 2, "-cert file": 2, "-addr nonsense:x": 1, "-stun http://example": 1,
	} {
		if status := run(ended, strings.Fields(args), io.Discard, io.Discard); status != want {
			t.Errorf("%s: exit status %d, want %d", args, status, want)
		}
	}
}
