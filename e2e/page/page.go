// Package page serves the browsers' side of the tests: an empty document with the functions of peer.js in it.
package page

import (
	"embed"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/openparley/webrtc/e2e/lab"
)

//go:embed index.html peer.js
var files embed.FS

// Serve serves the page on the host for as long as the test lasts and returns its address. The loopback address makes
// it a secure context, without which browsers give no camera.
func Serve(t testing.TB, host lab.Host) string {
	t.Helper()
	l, err := host.Listen("tcp", net.JoinHostPort(host.Loopback(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServerFS(files), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("page: %v", err)
		}
	})
	return "http://" + l.Addr().String() + "/"
}
