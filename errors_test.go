package webrtc

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/openparley/webrtc/sdp/jsep"
)

// wantError checks the type of an error by an empty value of it; nil wants none.
func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// allErrors has an empty value of every type.
var allErrors = []error{
	&InvalidStateError{}, &InvalidAccessError{}, &InvalidModificationError{}, &OperationError{}, &NotSupportedError{},
	&SyntaxError{}, &TypeError{}, &RangeError{}, &RTCError{},
}

func TestEveryErrorMatchesItsEmptyValueAlone(t *testing.T) {
	for i, e := range []error{
		&InvalidStateError{Err: io.EOF}, &InvalidAccessError{Err: io.EOF}, &InvalidModificationError{Err: io.EOF},
		&OperationError{Err: io.EOF}, &NotSupportedError{Err: io.EOF}, &SyntaxError{Err: io.EOF}, &TypeError{Err: io.EOF},
		&RangeError{Err: io.EOF}, &RTCError{Detail: "dtls-failure", Err: io.EOF},
	} {
		for j, empty := range allErrors {
			_, rtc := e.(*RTCError)                 //nolint:errorlint // the types of the table
			_, operation := empty.(*OperationError) //nolint:errorlint // the types of the table
			if got, want := errors.Is(e, empty), i == j || rtc && operation; got != want {
				t.Errorf("errors.Is(%v, %v) = %v", e, empty, got)
			}
		}
		if !errors.Is(e, io.EOF) {
			t.Errorf("%v hides its cause", e)
		}
		if !strings.HasPrefix(e.Error(), "webrtc: ") || !strings.HasSuffix(e.Error(), ": EOF") {
			t.Errorf("%q", e.Error())
		}
	}
	for _, e := range allErrors {
		if strings.Contains(e.Error(), "nil") {
			t.Errorf("an error without a cause says %q", e.Error())
		}
	}
}

func TestErrorsOfAClosedConnectionMatchNetErrClosed(t *testing.T) {
	if err := errClosed(); !errors.Is(err, net.ErrClosed) || !errors.Is(err, ErrConnectionClosed) ||
		!errors.Is(err, &InvalidStateError{}) {
		t.Error(err)
	}
}

func TestErrorsOfTheStateMachineKeepTheirNames(t *testing.T) {
	for name, want := range map[string]error{
		jsep.NameInvalidState: &InvalidStateError{}, jsep.NameInvalidAccess: &InvalidAccessError{},
		jsep.NameInvalidModification: &InvalidModificationError{}, jsep.NameOperation: &OperationError{},
		jsep.NameType: &TypeError{}, jsep.NameNotSupported: &NotSupportedError{}, jsep.NameSDPSyntax: &RTCError{},
	} {
		err := fromJSEP(&jsep.Error{Name: name, Reason: "why", Err: io.EOF})
		wantError(t, name, err, want)
		if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "why") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := fromJSEP(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("a foreign error becomes %v", err)
	}
	if err := fromJSEP(nil); err != nil {
		t.Error(err)
	}
}
