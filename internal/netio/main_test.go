package netio

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	left := goroutines()
	for range 100 {
		if len(left) == 0 {
			os.Exit(code)
		}
		time.Sleep(10 * time.Millisecond)
		left = goroutines()
	}
	fmt.Printf("goroutines left behind:\n%s\n", strings.Join(left, "\n\n"))
	os.Exit(1)
}

// goroutines returns the stacks of those that run code of this module, but this
// one. The testing package may have some of its own, when fuzzing.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	var list []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "openparley/webrtc") && !strings.Contains(stack, ".TestMain(") {
			list = append(list, stack)
		}
	}
	return list
}
