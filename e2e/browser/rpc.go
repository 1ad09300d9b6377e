package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// rpc is the common part of the Chrome DevTools protocol and of WebDriver BiDi: numbered JSON commands over a WebSocket,
// answers in any order, and events in between. Safe for concurrent use.
type rpc struct {
	ws      *websocket.Conn
	onEvent func(method string, params json.RawMessage)
	done    chan struct{} // closed when the reader has ended

	// Guarded by mu.
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan reply
	err     error
}

// command is what goes out. Session is the DevTools protocol's; BiDi has none.
type command struct {
	ID      uint64 `json:"id"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
	Session string `json:"sessionId,omitempty"`
}

// reply is what comes in. An error is an object in DevTools (with a message) and a string in BiDi (beside a message).
type reply struct {
	ID      uint64          `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
	Message string          `json:"message"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func dialRPC(ctx context.Context, dial dialFunc, url string, onEvent func(string, json.RawMessage)) (*rpc, error) {
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}},
	})
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	ws.SetReadLimit(-1) // a whole page's statistics may come in one message
	r := &rpc{ws: ws, onEvent: onEvent, done: make(chan struct{}), waiting: make(map[uint64]chan reply)}
	go r.read()
	return r, nil
}

// read ends when the browser goes or close is called.
func (r *rpc) read() {
	defer close(r.done)
	for {
		_, data, err := r.ws.Read(context.Background())
		var in reply
		if err == nil {
			err = json.Unmarshal(data, &in)
		}
		if err != nil {
			r.fail(fmt.Errorf("browser: connection lost: %w", err))
			return
		}
		if in.ID == 0 {
			r.onEvent(in.Method, in.Params)
			continue
		}
		r.mu.Lock()
		answer := r.waiting[in.ID]
		delete(r.waiting, in.ID)
		r.mu.Unlock()
		if answer != nil {
			answer <- in
		}
	}
}

func (r *rpc) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	for id, answer := range r.waiting {
		delete(r.waiting, id)
		close(answer)
	}
}

// call sends a command and decodes its result into result, which may be nil.
func (r *rpc) call(ctx context.Context, session, method string, params, result any) error {
	answer := make(chan reply, 1)
	r.mu.Lock()
	if err := r.err; err != nil {
		r.mu.Unlock()
		return err
	}
	r.last++
	id := r.last
	r.waiting[id] = answer
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.waiting, id)
		r.mu.Unlock()
	}()

	out, err := json.Marshal(command{ID: id, Method: method, Params: params, Session: session})
	if err != nil {
		return fmt.Errorf("browser: %s: %w", method, err)
	}
	// coder/websocket closes the connection when a write's context ends; the write itself is short.
	if err := r.ws.Write(context.Background(), websocket.MessageText, out); err != nil {
		return fmt.Errorf("browser: %s: %w", method, err)
	}
	select {
	case in, ok := <-answer:
		switch {
		case !ok:
			return r.err // written before answer was closed
		case len(in.Error) != 0:
			return fmt.Errorf("browser: %s: %s", method, strings.TrimSpace(string(in.Error)+" "+in.Message))
		case result == nil:
			return nil
		}
		if err := json.Unmarshal(in.Result, result); err != nil {
			return fmt.Errorf("browser: %s: %w", method, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("browser: %s: %w", method, context.Cause(ctx))
	}
}

func (r *rpc) close() {
	_ = r.ws.CloseNow()
	<-r.done
}
