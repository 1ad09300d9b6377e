package turn

import (
	"os"
	"strconv"
)

// torture is how many seeds a test runs: n, or what PARLEY_TORTURE says.
func torture(n int) int {
	if v, err := strconv.Atoi(os.Getenv("PARLEY_TORTURE")); err == nil && v > 0 {
		return v
	}
	return n
}
