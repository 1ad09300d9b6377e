// Command bogo lets BoringSSL's test runner ("BoGo") drive this project's DTLS engine: `make bogo BORINGSSL=checkout`.
//
// The runner starts it once for every test with flags that describe the connection; it dials back, carries packets and
// commands over one TCP connection, and echoes application data with every bit turned over. Exit status 89 says that a flag, and
// so the test, is not for this engine. Which tests are left out, and why, is in config.json and in flags.go.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	exitFailed        = 1
	exitUnimplemented = 89
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "-is-handshaker-supported" {
		fmt.Fprintln(os.Stdout, "No")
		return
	}
	os.Exit(run(os.Args[1:], os.Stderr))
}

func run(args []string, stderr io.Writer) int {
	f, err := parseFlags(args)
	if err == nil {
		err = exchange(f)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, err)
	if errors.Is(err, errUnimplemented) {
		return exitUnimplemented
	}
	return exitFailed
}
