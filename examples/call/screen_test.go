package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestStatusStaysBelowTheLines(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, terminal: true}
	s.printf("first")
	s.status("50 %")
	s.printf("second")
	s.status("")
	s.printf("third")
	for _, code := range []string{noWrap, wrap} {
		text := strings.ReplaceAll(out.String(), code, "")
		out.Reset()
		out.WriteString(text)
	}
	want := "first\n" + clearLine + "50 %" + clearLine + "second\n50 %" + clearLine + "third\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestStatusIsALineElsewhere(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.status("50 %")
	s.status("")
	s.printf("end")
	if want := "50 %\nend\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestFiguresForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{byteCount(0), "0 B"},
		{byteCount(1000), "1000 B"},
		{byteCount(4 << 20), "4 MiB"},
		{byteCount(1536), "1.50 KiB"},
		{byteCount(12345678), "11.8 MiB"},
		{byteCount(5 << 40), "5 TiB"},
		{bitRate(999), "999 b/s"},
		{bitRate(1234567), "1.23 Mb/s"},
		{bitRate(2.5e9), "2.50 Gb/s"},
		{duration(0.0042), "4.20 ms"},
		{duration(61), "61 s"},
		{bar(0, 4), "░░░░"},
		{bar(0.5, 4), "██░░"},
		{bar(7, 4), "████"},
		{printable("a\x1b[2Jb\nc\u009b"), "a[2Jbc"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
