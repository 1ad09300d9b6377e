// Command browser serves a page that calls this program: it returns the camera's picture and the microphone's sound, or
// plays a clip; it carries a chat between all visitors; and it shows what both sides measure.
//
//	go run ./examples/browser
//
// and open http://localhost:8080 in Chromium or Firefox. Cameras are for secure contexts only: for pages from other
// machines give -cert and -key.
//
// visitor.go is what to read first; page/page.js is its counterpart in the browser.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	ossignal "os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := ossignal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one is the system's
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program; it returns the exit status. It serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("browser", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:8080", "`host:port` to serve the page at")
	cert := flags.String("cert", "", "`file` with a certificate, for HTTPS")
	key := flags.String("key", "", "`file` with the certificate's key")
	stun := flags.String("stun", "", "STUN server, as stun:`host:port`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0 || (*cert == "") != (*key == ""):
		flags.Usage()
		return 2
	}
	s, err := newServer(*stun, stdout)
	if err == nil {
		err = s.serve(ctx, *addr, *cert, *key)
	}
	if err != nil {
		fmt.Fprintln(stderr, "browser:", err)
		return 1
	}
	return 0
}

// serve serves the page and the calls until ctx ends, and then waits until every call has ended.
func (s *server) serve(ctx context.Context, addr, cert, key string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, // it ends every request
	}
	scheme := "http"
	if cert != "" {
		scheme = "https"
	}
	s.printf("open %s://%s", scheme, listener.Addr())
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if web.Shutdown(grace) != nil {
			_ = web.Close()
		}
	})
	if cert != "" {
		err = web.ServeTLS(listener, cert, key)
	} else {
		err = web.Serve(listener)
	}
	if stop() { // it has ended by itself
		return err
	}
	<-stopped
	s.end()
	return nil
}
