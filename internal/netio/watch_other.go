//go:build !linux || android

package netio

import "errors"

// openEvents: the system does not tell, or (Android) not us.
func openEvents() (events, error) { return nil, errors.ErrUnsupported }

func openChanges() (changed func() bool, err error) { return nil, errors.ErrUnsupported }
