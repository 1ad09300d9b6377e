// Command call is a call between two peers: audio, video, a chat and a file, over real sockets.
//
// Without -listen and -dial, both peers live in this process. With them, they are two processes, on one machine or two:
//
//	go run ./examples/call -listen :8080
//	go run ./examples/call -dial http://localhost:8080
//
// Each side plays a melody and a test pattern, says a line, which the other one echoes, and sends a file, which the other
// one checks. At the end there is a table of what was negotiated and measured, and the received media are in files that
// players know. The exit status is 0 if the call was good, 1 if not, and 2 if the command line was wrong.
//
// With two processes, lines that are typed are said. Ctrl-C hangs up; a second one kills.
//
// signaling.go has the JSON API of -listen; peer.go is what to read first.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	ossignal "os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	hangUp, stop := ossignal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(hangUp, stop) // the second one is the system's
	os.Exit(run(hangUp, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	listen, dial string
	duration     time.Duration
	message      string
	file, out    string
	stun         string
}

const usage = `Usage: call [flags]

A call between two peers with audio, video, a chat and a file. Without -listen and
-dial both are in this process.

`

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("call", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.listen, "listen", "", "wait for a call at `host:port`")
	flags.StringVar(&o.dial, "dial", "", "call the peer that listens at `url`")
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "how long to send media; 0: until Ctrl-C")
	flags.StringVar(&o.message, "message", "", "first `line` of the chat")
	flags.StringVar(&o.file, "file", "", "`file` to send (default 4 MiB of random bytes)")
	flags.StringVar(&o.out, "out", "", "`directory` for what is received (default a new temporary one)")
	flags.StringVar(&o.stun, "stun", "", "STUN server, as stun:`host:port`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.listen != "" && o.dial != "":
		err = errors.New("-listen and -dial exclude each other")
	case o.duration < 0:
		err = errors.New("-duration must not be negative")
	}
	if err != nil {
		fmt.Fprintln(stderr, "call:", err)
	}
	return o, err
}

// run is the whole program; it returns the exit status. The call is hung up when hangUp ends.
func run(hangUp context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	s := newScreen(stdout)
	reports, err := call(hangUp, o, s, stdin)
	if err != nil {
		fmt.Fprintln(stderr, "call:", err)
	}
	if len(reports) == 0 {
		return 1
	}
	printReports(stdout, reports)
	printSaved(stdout, reports)
	good := err == nil
	for _, r := range reports {
		good = good && r.good()
	}
	if !good {
		fmt.Fprintln(stdout, "\nThe call was NOT good.")
		return 1
	}
	fmt.Fprintln(stdout, "\nThe call was good.")
	return 0
}

// call makes the call in one of the three ways.
func call(hangUp context.Context, o options, s *screen, stdin io.Reader) (reports []*report, err error) {
	if o.out == "" {
		if o.out, err = os.MkdirTemp("", "call-out-"); err != nil {
			return nil, err
		}
	} else if err = os.MkdirAll(o.out, 0o755); err != nil {
		return nil, err
	}
	switch {
	case o.listen != "":
		return callee(hangUp, o, s, stdin)
	case o.dial != "":
		return caller(hangUp, o, s, stdin)
	default:
		return both(hangUp, o, s)
	}
}

// side makes the options of one side.
func (o options) side(name, other string, s *screen, in, out *mailbox) (p peerOptions, closeFile func(), err error) {
	p = peerOptions{
		name: name, other: other, in: in, out: out, screen: s,
		stun: o.stun, duration: o.duration, dir: o.out, message: o.message,
	}
	if p.message == "" {
		p.message = "Hello from the " + name + "."
	}
	if o.file == "" {
		p.file = randomFile(name + ".bin")
		return p, func() {}, nil
	}
	file, err := os.Open(o.file)
	if err != nil {
		return p, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", o.file)
	}
	if err != nil {
		return p, nil, errors.Join(err, file.Close())
	}
	p.file = source{name: filepath.Base(o.file), size: info.Size(), content: file}
	return p, func() { file.Close() }, nil
}

// randomFile is what is sent without -file.
func randomFile(name string) source {
	const size = 4 << 20
	var seed [32]byte
	copy(seed[:], name)
	return source{name: name, size: size, content: io.LimitReader(rand.NewChaCha8(seed), size)}
}

// both makes the call within this process. One mailbox for each direction is all the signaling that it takes.
func both(hangUp context.Context, o options, s *screen) ([]*report, error) {
	toCallee, toCaller := newMailbox(), newMailbox()
	callerSide, closeFile, err := o.side("caller", "callee", s, toCaller, toCallee)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	o.file, o.message = "", ""
	calleeSide, _, err := o.side("callee", "caller", s, toCallee, toCaller)
	if err != nil {
		return nil, err
	}
	// Who fails ends the other's call, too.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(hangUp))
	defer cancel(nil)
	var wait sync.WaitGroup
	reports, failures := make([]*report, 2), make([]error, 2)
	for i, side := range []peerOptions{callerSide, calleeSide} {
		p, err := newPeer(side)
		if err != nil {
			cancel(err)
			wait.Wait()
			return nil, err
		}
		wait.Go(func() {
			offer := i == 0
			reports[i], failures[i] = p.show(ctx, hangUp, offer, offer)
			if failures[i] != nil {
				failures[i] = fmt.Errorf("%s: %w", p.name, failures[i])
				cancel(failures[i])
			}
		})
	}
	wait.Wait()
	return reports, errors.Join(failures...)
}

// show runs a peer, with the status line if there is to be one.
func (p *peer) show(ctx, hangUp context.Context, offer, status bool) (*report, error) {
	if status {
		shown, hide := context.WithCancel(ctx)
		var wait sync.WaitGroup
		wait.Go(func() { p.showStatus(shown) })
		defer wait.Wait()
		defer hide()
	}
	return p.run(ctx, hangUp, offer)
}

// callee waits for one call.
func callee(hangUp context.Context, o options, s *screen, stdin io.Reader) ([]*report, error) {
	in, out := newMailbox(), newMailbox()
	side, closeFile, err := o.side("callee", "caller", s, in, out)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	ctx, cancel := context.WithCancel(context.WithoutCancel(hangUp))
	board := newSwitchboard(in, out)
	url, wait, err := board.listen(ctx, o.listen)
	if err != nil {
		cancel()
		return nil, err
	}
	defer wait()
	defer cancel()
	s.printf("listening at %s", url)
	select {
	case <-board.begun:
	case <-hangUp.Done():
		return nil, errInterrupted
	}
	side.lines = lines(stdin)
	return single(ctx, hangUp, side, false)
}

// caller calls a peer that listens.
func caller(hangUp context.Context, o options, s *screen, stdin io.Reader) ([]*report, error) {
	in, out := newMailbox(), newMailbox()
	side, closeFile, err := o.side("caller", "callee", s, in, out)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	d, err := dial(hangUp, o.dial, in, out)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(hangUp))
	var carrying sync.WaitGroup
	carrying.Go(func() { d.run(ctx) })
	defer carrying.Wait()
	defer cancel()
	side.lines = lines(stdin)
	return single(ctx, hangUp, side, true)
}

// single is this process's side of a call between two.
func single(ctx, hangUp context.Context, side peerOptions, offer bool) ([]*report, error) {
	p, err := newPeer(side)
	if err != nil {
		return nil, err
	}
	r, err := p.show(ctx, hangUp, offer, true)
	return []*report{r}, err
}

// lines reads lines, if somebody types them. The goroutine ends with the input, or with the program.
func lines(stdin io.Reader) <-chan string {
	if stdin == nil {
		return nil
	}
	c := make(chan string)
	go func() {
		defer close(c)
		for scanner := bufio.NewScanner(stdin); scanner.Scan(); {
			if scanner.Text() != "" {
				c <- scanner.Text()
			}
		}
	}()
	return c
}
