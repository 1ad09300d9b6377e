//go:build !linux && !darwin && !freebsd && !windows

package netio

// setDontFragment: no such option here.
func setDontFragment(uintptr) {}
