// Command bench measures this library and pion/webrtc side by side, in one run: see README.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

var (
	// What usage describes.
	flagCase  = flag.String("case", "", "")
	flagJSON  = flag.Bool("json", false, "")
	flagRuns  = flag.Int("runs", 5, "")
	flagQuick = flag.Bool("quick", false, "")

	// What a child process is told.
	flagChild = flag.String("child", "", "")
	flagStack = flag.String("stack", "", "")
	flagWire  = flag.String("wire", "", "")
	flagShort = flag.Bool("short", false, "")
)

const (
	warmUp = time.Second
	window = 4 * time.Second
)

func main() {
	flag.Usage = usage
	flag.Parse()
	if flag.NArg() > 0 || *flagRuns < 1 {
		usage()
		os.Exit(2)
	}
	if *flagQuick {
		*flagRuns = 1
	}
	if *flagChild != "" {
		if err := runChild(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := runParent(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprint(os.Stderr, `usage: go run . [-case NAME] [-json] [-runs N] [-quick]

  -case NAME  measure only this case; a list with commas and patterns like dc-* are understood
  -json       print one JSON object a line
  -runs N     runs of each library of which the median is taken; 5 without it
  -quick      a rough look: one run, shorter windows

Cases, lower is better in each:
`)
	for _, s := range scenarios {
		for _, c := range s.cases {
			fmt.Fprintf(os.Stderr, "  %-24s %s\n", c.name, c.unit)
		}
	}
}

// selected says whether -case asks for the case.
func selected(pattern, name string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	for p := range strings.SplitSeq(pattern, ",") {
		ok, err := path.Match(p, name)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// childResult is what a child process prints.
type childResult struct {
	Values map[string]float64 `json:"values,omitempty"`
	Error  string             `json:"error,omitempty"`
	Lost   bool               `json:"lost,omitempty"` // the error is an errLost
}

// runChild runs one scenario with one library. A failure of the library is a result, too.
func runChild() error {
	if *flagChild == turnServerName {
		return runTURNServer(os.Stdin, os.Stdout)
	}
	newStack, ok := stacks[*flagStack]
	if !ok {
		return fmt.Errorf("no library %q", *flagStack)
	}
	st, err := newStack()
	if err != nil {
		return err
	}
	if *flagChild == farName {
		return runFar(st, os.Stdin, os.Stdout)
	}
	s, err := findScenario(*flagChild)
	if err != nil {
		return err
	}
	w, err := parseWire(*flagWire)
	if err != nil {
		return err
	}
	e := env{wire: w, warm: warmUp, window: window, quick: *flagQuick}
	if *flagShort || *flagQuick {
		e.warm, e.window = warmUp/4, window/4
	}
	var result childResult
	if result.Values, err = s.of(*flagStack)(st, e); err != nil {
		result.Error, result.Lost = err.Error(), errors.Is(err, errLost)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// loopbackName is the name of the loopback interface.
var loopbackName = sync.OnceValue(func() string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return "lo"
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Name
		}
	}
	return "lo"
})

// isLoopback keeps both libraries on the loopback interface.
func isLoopback(name string) bool { return name == loopbackName() }

var errNoCase = errors.New("no such case")
