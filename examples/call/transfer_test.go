package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openparley/webrtc"
)

// reception is a file that is being received from a sender that may say anything.
type reception struct {
	t        *testing.T
	file     *incomingFile
	transfer *transfer
	answers  []fileTrailer
	dir      string
}

func newReception(t *testing.T) *reception {
	r := &reception{t: t, dir: t.TempDir()}
	r.file = &incomingFile{
		dir: r.dir, prefix: "from-peer-", sum: sha256.New(),
		begin: func(transfer *transfer) { r.transfer = transfer },
		reply: func(text string) error {
			var answer fileTrailer
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Error(err)
			}
			r.answers = append(r.answers, answer)
			return nil
		},
	}
	t.Cleanup(func() { r.file.end(nil) })
	return r
}

func (r *reception) text(v any) {
	r.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.file.receive(webrtc.DataChannelMessage{IsString: true, Data: text})
}

func (r *reception) binary(content string) {
	r.file.receive(webrtc.DataChannelMessage{Data: []byte(content)})
}

// wantRefused wants one answer that has an error in it.
func (r *reception) wantRefused(part string) {
	r.t.Helper()
	if len(r.answers) != 1 || !strings.Contains(r.answers[0].Error, part) {
		r.t.Errorf("answers %+v, want one error with %q", r.answers, part)
	}
	if report := r.transfer.report(); !report.Finished || report.Err == nil {
		r.t.Errorf("the transfer counts as good: %+v", report)
	}
}

func sum(content string) string {
	s := sha256.Sum256([]byte(content))
	return hex.EncodeToString(s[:])
}

func TestFileIsReceived(t *testing.T) {
	r := newReception(t)
	r.text(fileHeader{Name: "greeting.txt", Size: 10})
	r.binary("hello")
	r.binary("world")
	r.text(fileTrailer{Size: 10, SHA256: sum("helloworld")})
	if len(r.answers) != 1 || r.answers[0].Error != "" || r.answers[0].SHA256 != sum("helloworld") {
		t.Errorf("answers %+v", r.answers)
	}
	report := r.transfer.report()
	if report.Err != nil || !report.Finished || report.Path != filepath.Join(r.dir, "from-peer-greeting.txt") {
		t.Errorf("report %+v", report)
	}
	if content, err := os.ReadFile(report.Path); err != nil || string(content) != "helloworld" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestFileStaysInItsDirectory(t *testing.T) {
	for _, name := range []string{"../../etc/passwd", "/etc/passwd", "..", "", "a/b/passwd"} {
		r := newReception(t)
		r.text(fileHeader{Name: name, Size: 1})
		r.binary("x")
		r.text(fileTrailer{Size: 1, SHA256: sum("x")})
		entries, err := os.ReadDir(r.dir)
		if err != nil || len(entries) > 1 {
			t.Errorf("%q: %v, %v", name, entries, err)
		}
		if path := r.transfer.report().Path; path != "" && filepath.Dir(path) != r.dir {
			t.Errorf("%q went to %s", name, path)
		}
	}
}

func TestFileIsDamaged(t *testing.T) {
	r := newReception(t)
	r.text(fileHeader{Name: "f", Size: 5})
	r.binary("hellO")
	r.text(fileTrailer{Size: 5, SHA256: sum("hello")})
	r.wantRefused("SHA-256")
}

func TestFileIsLongerThanAnnounced(t *testing.T) {
	r := newReception(t)
	r.text(fileHeader{Name: "f", Size: 5})
	r.binary("hello!")
	r.binary("and more")
	r.wantRefused("more content")
}

func TestFileHeaderIsNonsense(t *testing.T) {
	r := newReception(t)
	r.binary("no header")
	r.binary("more of it")
	r.wantRefused("header")
}

func TestFileEndsInTheMiddle(t *testing.T) {
	r := newReception(t)
	r.text(fileHeader{Name: "f", Size: 5})
	r.binary("he")
	r.file.end(errPeerLeft)
	if report := r.transfer.report(); !report.Finished || report.Err == nil {
		t.Errorf("the transfer counts as good: %+v", report)
	}
}
