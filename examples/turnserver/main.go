// Command turnserver is a STUN and TURN server: UDP and TCP on one port, TLS and DTLS on another. New certificates in the
// files are taken up at the next connection.
//
//	go run ./examples/turnserver -listen :3478 -user alice:wonderland
//	go run ./examples/turnserver -listen :3478 -tls-listen :5349 -cert cert.pem -key key.pem -secret s3cret -public-ip 203.0.113.7
//
// Browsers use it as {urls: "turn:host:3478", username: "alice", credential: "wonderland"}. With -secret, a web service
// hands out credentials that end by themselves: the user name is the Unix time of the end, a colon and any text, the
// password base64(HMAC-SHA1(secret, user name)).
//
// Peers in private and other special networks are denied: a server in a lab needs -allow-peer 10.0.0.0/8 or the like.
// The first Ctrl-C lets the allocations end that there are, for -drain; the second one kills.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/openparley/webrtc/ice/turn"
	"github.com/openparley/webrtc/ice/turn/turnserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one is the system's
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	listen, tlsListen string
	cert, key         string
	metrics           string
	drain             time.Duration
	verbose           bool
	users             map[string]string
	secret            string
	config            turnserver.Config
}

const usage = `Usage: turnserver [flags]

A STUN and TURN server. Without -user and -secret it answers STUN only.

`

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("turnserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	o.users = make(map[string]string)
	server := &o.config.Server
	flags.StringVar(&o.listen, "listen", ":3478", "`address:port` for UDP and TCP")
	flags.StringVar(&o.tlsListen, "tls-listen", "", "`address:port` for TLS and DTLS, with -cert and -key")
	flags.StringVar(&o.cert, "cert", "", "`file` with the certificate chain")
	flags.StringVar(&o.key, "key", "", "`file` with its key")
	flags.StringVar(&o.metrics, "metrics", "", "`address:port` to serve counters at, as JSON over HTTP")
	flags.StringVar(&o.secret, "secret", "", "shared `secret` of time-limited credentials")
	flags.StringVar(&server.Realm, "realm", "turn", "`name` of the realm")
	flags.DurationVar(&o.drain, "drain", 0, "how long allocations may go on after Ctrl-C")
	flags.BoolVar(&o.verbose, "v", false, "log each allocation")
	flags.IntVar(&server.MaxPerAccount, "quota", 0, "allocations that a user may have at a time; 0: any number")
	flags.IntVar(&server.MaxBitrate, "max-bitrate", 0, "bits a second that an allocation may relay in each direction; 0: any number")
	flags.Func("user", "`name:password` of a user; may be repeated", func(s string) error {
		name, password, ok := strings.Cut(s, ":")
		if o.users[name] = password; !ok || name == "" {
			return errors.New("want name:password")
		}
		return nil
	})
	flags.Func("public-ip", "outside `address` of a 1:1 NAT, told to clients; may be repeated for the other family", func(s string) error {
		a, err := netip.ParseAddr(s)
		o.config.PublicIPs = append(o.config.PublicIPs, a)
		return err
	})
	flags.Func("relay-ports", "`first-last` port of relays (default 49152-65535)", func(s string) error {
		return parsePorts(s, &server.MinPort, &server.MaxPort)
	})
	flags.Func("allow-peer", "`range` to relay to although it is special, as 10.0.0.0/8; may be repeated", prefixes(&server.AllowPeers))
	flags.Func("deny-peer", "`range` not to relay to; may be repeated", prefixes(&server.DenyPeers))
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || (o.cert == "") != (o.key == "") || (o.tlsListen == "") != (o.cert == "") {
		flags.Usage()
		return o, errors.New("usage")
	}
	return o, nil
}

func parsePorts(s string, first, last *uint16) error {
	from, to, _ := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	*first, *last = uint16(a), uint16(b)
	return errors.Join(err1, err2)
}

func prefixes(to *[]netip.Prefix) func(string) error {
	return func(s string) error {
		p, err := netip.ParsePrefix(s)
		*to = append(*to, p)
		return err
	}
}

// run is the whole program; it returns the exit status. It serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := o.serve(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "turnserver:", err)
		return 1
	}
	return 0
}

// serve opens everything, says where, and waits for the end of ctx.
func (o *options) serve(ctx context.Context, stdout, stderr io.Writer) error {
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	o.config.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	o.setAuth()
	if err := o.openStreams(); err != nil {
		return err
	}
	udp, err := resolve(o.config.Streams[0].Addr())
	if err != nil {
		return err
	}
	o.config.UDP = []netip.AddrPort{udp}
	if len(o.config.Streams) > 1 {
		secure, err := resolve(o.config.Streams[1].Addr())
		if err != nil {
			return err
		}
		o.config.DTLS = []netip.AddrPort{secure}
	}
	server, err := turnserver.Start(o.config)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := o.serveMetrics(ctx, server, stdout); err != nil {
		return err
	}
	addrs, streams := server.Addrs()
	for i, a := range addrs {
		fmt.Fprintln(stdout, [...]string{"udp", "dtls"}[i], a)
	}
	for i, a := range streams {
		fmt.Fprintln(stdout, [...]string{"tcp", "tls"}[i], a)
	}
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.drain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (o *options) setAuth() {
	var auths []turn.Auth
	if len(o.users) > 0 {
		auths = append(auths, turn.StaticUsers(o.users))
	}
	if o.secret != "" {
		auths = append(auths, turn.SharedSecret(o.secret))
	}
	if len(auths) > 0 {
		o.config.Server.Auth = turn.AnyOf(auths...)
	}
}

// openStreams opens the TCP listener, whose port UDP shares, and that for TLS, whose port DTLS shares.
func (o *options) openStreams() error {
	if o.cert != "" {
		cert := &certificate{cert: o.cert, key: o.key}
		if _, err := cert.get(nil); err != nil {
			return err
		}
		o.config.TLS = &tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12}
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	o.config.Streams = append(o.config.Streams, l)
	if o.config.TLS == nil {
		return nil
	}
	secure, err := net.Listen("tcp", o.tlsListen)
	if err != nil {
		_ = l.Close()
		return err
	}
	o.config.Streams = append(o.config.Streams, tls.NewListener(secure, o.config.TLS))
	return nil
}

// resolve turns the address of a TCP listener into one for UDP. A wildcard of both families stays one.
func resolve(a net.Addr) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(a.String())
	if err == nil && ap.Addr() == netip.IPv6Unspecified() {
		ap = netip.AddrPortFrom(netip.Addr{}, ap.Port())
	}
	return ap, err
}

// serveMetrics serves the counters until ctx ends.
func (o *options) serveMetrics(ctx context.Context, server *turnserver.Server, stdout io.Writer) error {
	if o.metrics == "" {
		return nil
	}
	l, err := net.Listen("tcp", o.metrics)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "metrics", l.Addr())
	hs := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(server.Stats())
		}),
	}
	context.AfterFunc(ctx, func() { _ = hs.Close() })
	go func() { _ = hs.Serve(l) }() // until it is closed
	return nil
}
