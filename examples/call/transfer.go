package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openparley/webrtc"
)

// A file travels on a data channel of its own: a text message with fileHeader, binary messages with the content, a text
// message with fileTrailer; back comes one text message with the receiver's own fileTrailer. Then the sender closes it.
const fileLabel = "file"

type fileHeader struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

type fileTrailer struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Error says why the receiver could not keep the file.
	Error string `json:"error,omitempty"`
}

// chunkSize is the size of a message: large enough to be cheap, small enough that other channels get their turn.
const chunkSize = 16 << 10

// A transfer is a file on its way in one direction. Its fields are set before it starts; its methods may be called from
// any goroutine.
type transfer struct {
	Sending bool
	Name    string
	Size    int64

	bytes atomic.Int64

	mu         sync.Mutex // guards what follows
	began, end time.Time
	path       string
	err        error
	finished   bool
}

func (t *transfer) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began = time.Now()
}

func (t *transfer) finish(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.finished {
		t.finished, t.end, t.err = true, time.Now(), err
	}
}

// progress draws how much of the file is at the other side, until the receiver has checked it.
func (t *transfer) progress() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.finished && t.err == nil:
		return "intact"
	case t.finished:
		return "failed"
	case t.Size == 0:
		return bar(0, 10)
	}
	part := float64(t.bytes.Load()) / float64(t.Size)
	return fmt.Sprintf("%s %.0f %%", bar(part, 10), part*100)
}

// transferReport is what a transfer has come to.
type transferReport struct {
	Sending     bool
	Name        string
	Path        string // of a received file
	Size, Bytes int64
	Took        time.Duration
	Finished    bool
	Err         error
}

func (t *transfer) report() transferReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := transferReport{
		Sending: t.Sending, Name: t.Name, Path: t.path, Size: t.Size, Bytes: t.bytes.Load(), Finished: t.finished, Err: t.err,
	}
	if t.finished {
		r.Took = t.end.Sub(t.began)
	}
	return r
}

// send sends the file over a new channel of pc and waits until the receiver has confirmed its SHA-256. The transfer's
// report has the error, too.
func (t *transfer) send(ctx context.Context, pc *webrtc.PeerConnection, content io.Reader) (err error) {
	defer func() { t.finish(err) }()
	channel, err := pc.CreateDataChannel(fileLabel, nil)
	if err != nil {
		return err
	}
	defer channel.Close()
	open := make(chan struct{})
	closed := make(chan struct{})
	confirmed := make(chan fileTrailer, 1)
	channel.OnOpen(func() { close(open) })
	channel.OnClose(func() { close(closed) })
	channel.OnMessage(func(m webrtc.DataChannelMessage) {
		var trailer fileTrailer
		if json.Unmarshal(m.Data, &trailer) != nil {
			trailer.Error = "an answer that cannot be understood"
		}
		select {
		case confirmed <- trailer:
		default: // one is enough
		}
	})
	select {
	case <-open:
	case <-closed:
		return errors.New("the channel was closed")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t.begin()
	sent, err := t.sendContent(ctx, channel, content)
	if err != nil {
		return err
	}
	select {
	case received := <-confirmed:
		t.bytes.Store(received.Size)
		return compare(sent, received)
	case <-closed:
		return errors.New("the channel was closed before the file was confirmed")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sendContent sends the messages. SendContext waits while much is queued, so that a file of any size takes little memory.
func (t *transfer) sendContent(ctx context.Context, channel *webrtc.DataChannel, content io.Reader) (fileTrailer, error) {
	if err := sendJSON(ctx, channel, fileHeader{Name: t.Name, Size: t.Size}); err != nil {
		return fileTrailer{}, err
	}
	sum := sha256.New()
	chunk := make([]byte, chunkSize)
	var size int64
	for {
		n, err := io.ReadFull(content, chunk)
		if n > 0 {
			sum.Write(chunk[:n])
			if err := channel.SendContext(ctx, chunk[:n]); err != nil {
				return fileTrailer{}, err
			}
			size += int64(n)
			t.bytes.Store(size - int64(channel.BufferedAmount()))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fileTrailer{}, err
		}
	}
	trailer := fileTrailer{Size: size, SHA256: hex.EncodeToString(sum.Sum(nil))}
	return trailer, sendJSON(ctx, channel, trailer)
}

func sendJSON(ctx context.Context, channel *webrtc.DataChannel, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return channel.SendTextContext(ctx, string(text))
}

// compare tells whether the receiver has what was sent.
func compare(sent, received fileTrailer) error {
	switch {
	case received.Error != "":
		return fmt.Errorf("the receiver says: %s", received.Error)
	case received.Size != sent.Size:
		return fmt.Errorf("%d bytes were sent and %d received", sent.Size, received.Size)
	case received.SHA256 != sent.SHA256:
		return errors.New("the SHA-256 is another one at the receiver")
	}
	return nil
}

// An incomingFile receives one file. Its handlers run one at a time on the signaling goroutine and write to the disk
// there: while that takes its time, the receive window closes and the sender waits.
type incomingFile struct {
	reply    func(text string) error
	dir      string
	prefix   string // of the file's name, so that no other file is overwritten
	begin    func(*transfer)
	transfer *transfer // nil before the header
	file     *os.File
	sum      hash.Hash
}

// receiveFile takes over a channel that the peer has opened. begin is called when the header has come.
func receiveFile(channel *webrtc.DataChannel, dir, prefix string, begin func(*transfer)) {
	f := &incomingFile{reply: channel.SendText, dir: dir, prefix: prefix, begin: begin, sum: sha256.New()}
	channel.OnMessage(f.receive)
	channel.OnClose(func() { f.end(errors.New("the channel was closed before the end")) })
}

func (f *incomingFile) receive(m webrtc.DataChannelMessage) {
	var err error
	switch {
	case f.transfer == nil:
		err = f.open(m)
	case f.file == nil: // it has ended
	case m.IsString:
		err = f.check(m)
	default:
		err = f.write(m.Data)
	}
	if err == nil {
		return
	}
	f.end(err)
	f.answer(fileTrailer{Error: err.Error()})
}

func (f *incomingFile) open(m webrtc.DataChannelMessage) error {
	var header fileHeader
	if err := json.Unmarshal(m.Data, &header); err != nil || !m.IsString || header.Size < 0 {
		header.Name = "unknown" // what follows is not the content of a file
		err = errors.New("a header that cannot be understood")
		f.transfer = &transfer{Name: header.Name}
		f.begin(f.transfer)
		return err
	}
	f.transfer = &transfer{Name: header.Name, Size: header.Size}
	f.transfer.begin()
	f.begin(f.transfer)
	// The name comes from outside: only its last part counts, and a Root keeps that inside the directory.
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name := f.prefix + filepath.Base(filepath.FromSlash(header.Name))
	if f.file, err = root.Create(name); err != nil {
		return err
	}
	f.transfer.mu.Lock()
	f.transfer.path = filepath.Join(f.dir, name)
	f.transfer.mu.Unlock()
	return nil
}

func (f *incomingFile) write(data []byte) error {
	if f.transfer.bytes.Load()+int64(len(data)) > f.transfer.Size {
		return errors.New("more content than the header has announced")
	}
	f.sum.Write(data)
	if _, err := f.file.Write(data); err != nil {
		return err
	}
	f.transfer.bytes.Add(int64(len(data)))
	return nil
}

// check compares what has come with the sender's trailer, and answers.
func (f *incomingFile) check(m webrtc.DataChannelMessage) error {
	var sent fileTrailer
	if err := json.Unmarshal(m.Data, &sent); err != nil {
		return errors.New("a trailer that cannot be understood")
	}
	received := fileTrailer{Size: f.transfer.bytes.Load(), SHA256: hex.EncodeToString(f.sum.Sum(nil))}
	err := errors.Join(compare(sent, received), f.file.Close())
	f.file = nil
	if err != nil {
		return err
	}
	f.end(nil)
	f.answer(received)
	return nil
}

// end closes the file; the first error counts.
func (f *incomingFile) end(err error) {
	if f.file != nil {
		err = errors.Join(err, f.file.Close())
		f.file = nil
	}
	if f.transfer != nil {
		f.transfer.finish(err)
	}
}

func (f *incomingFile) answer(trailer fileTrailer) {
	if text, err := json.Marshal(trailer); err == nil {
		_ = f.reply(string(text)) // it fails when the channel closes: then nobody waits
	}
}
