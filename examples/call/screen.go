package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// A screen prints lines, and below them a status line that changes in place if the output is a terminal. Otherwise the
// status is printed as a line of its own, less often. Safe for concurrent use.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	current  string // the status line that stands there
}

// How often the status is shown.
const (
	terminalInterval = 250 * time.Millisecond
	plainInterval    = time.Second
)

func newScreen(out io.Writer) *screen {
	return &screen{out: out, terminal: isTerminal(out)}
}

// isTerminal tells whether a person sits at the other end of a file.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s *screen) interval() time.Duration {
	if s.terminal {
		return terminalInterval
	}
	return plainInterval
}

// What a terminal is told: to empty the line, and not to wrap a status that is longer than the line.
const (
	clearLine = "\r\x1b[K"
	noWrap    = "\x1b[?7l"
	wrap      = "\x1b[?7h"
)

func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if s.terminal && s.current != "" {
		text = clearLine + text + "\n" + noWrap + s.current + wrap
	} else {
		text += "\n"
	}
	_, _ = io.WriteString(s.out, text)
}

// status shows text as the status; an empty one takes it away.
func (s *screen) status(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		_, _ = io.WriteString(s.out, clearLine+noWrap+text+wrap)
		s.current = text
	} else if text != "" {
		_, _ = io.WriteString(s.out, text+"\n")
	}
}

// printable is text from outside without what could steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, text)
}

// bar draws how much is done, between 0 and 1.
func bar(part float64, width int) string {
	full := min(max(int(part*float64(width)+0.5), 0), width)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// byteCount writes a number of bytes for people.
func byteCount(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 {
			return number(n) + " " + unit
		}
		n /= 1024
	}
	return number(n) + " TiB"
}

// bitRate writes a number of bits a second for people.
func bitRate(n float64) string {
	for _, unit := range []string{"b/s", "kb/s", "Mb/s"} {
		if n < 1000 {
			return number(n) + " " + unit
		}
		n /= 1000
	}
	return number(n) + " Gb/s"
}

// number has about three digits.
func number(n float64) string {
	switch {
	case n == float64(int64(n)) || n >= 100:
		return fmt.Sprintf("%.0f", n)
	case n >= 10:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.2f", n)
}

// duration writes seconds for people.
func duration(seconds float64) string {
	switch {
	case seconds < 1:
		return number(seconds*1000) + " ms"
	default:
		return number(seconds) + " s"
	}
}
