package netio

import (
	"errors"
	"fmt"
	"testing"
)

// remember makes a remembered whose interfaces are named after how often they were
// listed, and the function that changes them.
func remember() (r *remembered, change func()) {
	pending, listed := false, 0
	return &remembered{
		open: func() (func() bool, error) {
			return func() (was bool) {
				was, pending = pending, false
				return was
			}, nil
		},
		list: func() ([]Interface, error) {
			listed++
			return []Interface{{Name: fmt.Sprint(listed)}}, nil
		},
	}, func() { pending = true }
}

func wantListed(t *testing.T, r *remembered, want string) {
	t.Helper()
	list, err := r.get()
	if err != nil || len(list) != 1 || list[0].Name != want {
		t.Errorf("listed %v, %v; want number %s", list, err, want)
	}
}

func TestInterfacesAreListedOnceAChange(t *testing.T) {
	r, change := remember()
	wantListed(t, r, "1")
	wantListed(t, r, "1")
	change()
	wantListed(t, r, "2")
	wantListed(t, r, "2")
}

func TestChangeWhileListingIsNotMissed(t *testing.T) {
	r, change := remember()
	list := r.list
	r.list = func() ([]Interface, error) {
		defer change()
		return list()
	}
	wantListed(t, r, "1")
	r.list = list
	wantListed(t, r, "2")
	wantListed(t, r, "2")
}

func TestFailureToListIsNotRemembered(t *testing.T) {
	r, _ := remember()
	list := r.list
	r.list = func() ([]Interface, error) { return nil, errors.ErrUnsupported }
	if _, err := r.get(); err == nil {
		t.Error("no error")
	}
	r.list = list
	wantListed(t, r, "1")
}

func TestNothingIsRememberedWhereNobodyTells(t *testing.T) {
	r, _ := remember()
	r.open = func() (func() bool, error) { return nil, errors.ErrUnsupported }
	wantListed(t, r, "1")
	wantListed(t, r, "2")
}
