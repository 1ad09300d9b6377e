package archtest

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRulesHold is the test this package exists for.
func TestRulesHold(t *testing.T) {
	found, packages, err := Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
	// A rule about a directory that was renamed away would hold for ever.
	for _, dir := range []string{
		"ice", "ice/turn", "dtls", "srtp", "sctp", "sctp/dcep", "sdp", "sdp/jsep", "internal/rtpflow",
		"internal/netio", "internal/netsim", "internal/archtest",
	} {
		if !slices.Contains(packages, dir) {
			t.Errorf("no package in %s: has it moved?", dir)
		}
	}
}

func TestEachRuleCanFail(t *testing.T) {
	for _, tc := range []struct {
		name, dir, src string
		want           string // a part of the one violation; empty: none
	}{
		{"engine imports net", "ice", `package ice; import "net"`, "without package net"},
		{"engine imports below net", "ice", `package ice; import "net/http"`, "without package net/http"},
		{"engine imports netip", "ice", `package ice; import "net/netip"`, ""},
		{"engine imports os", "dtls", `package dtls; import "os"`, "without package os"},
		{"engine imports context", "sctp", `package sctp; import "context"`, "without package context"},
		{"engine imports sync", "srtp", `package srtp; import "sync"`, "without package sync"},
		{"engine imports atomic", "srtp", `package srtp; import "sync/atomic"`, ""},
		{"engine imports crypto/rand", "dtls", `package dtls; import "crypto/rand"`, "without package crypto/rand"},
		{"engine imports old math/rand", "dtls", `package dtls; import "math/rand"`, "without package math/rand"},
		{"engine imports an engine", "ice", `package ice; import "` + Module + `/dtls"`, "dtls is one"},
		{"engine imports upwards", "sctp", `package sctp; import "` + Module + `/sctp/dcep"`, "sctp/dcep is one"},
		{"dcep imports sctp", "sctp/dcep", `package dcep; import "` + Module + `/sctp"`, ""},
		{"jsep imports sdp", "sdp/jsep", `package jsep; import "` + Module + `/sdp"`, ""},
		{"engine imports netio", "ice", `package ice; import "` + Module + `/internal/netio"`, "is I/O"},
		{"engine imports the root", "ice", `package ice; import "` + Module + `"`, "root package"},
		{"engine imports a plain package", "ice", `package ice; import "` + Module + `/internal/wire"`, ""},
		{"engine reads the clock", "ice", `package ice; import "time"; var t = time.Now()`, "no time.Now"},
		{"engine keeps the clock", "ice", `package ice; import "time"; var now = time.Now`, "no time.Now"},
		{"engine reads the clock by subtraction", "ice", `package ice; import "time"; var d = time.Since(time.Time{})`, "no time.Since"},
		{"engine reads a renamed clock", "ice", `package ice; import clock "time"; var t = clock.Now()`, "no time.Now"},
		{"engine hides the clock", "ice", `package ice; import . "time"; var t = Now()`, "dot import of time"},
		{"engine sleeps", "ice", `package ice; import "time"; func f() { time.Sleep(1) }`, "no time.Sleep"},
		{"engine waits", "ice", `package ice; import "time"; func f() { <-time.After(1) }`, "no time.After"},
		{"engine arms a callback", "ice", `package ice; import "time"; func f() { time.AfterFunc(1, f) }`, "no time.AfterFunc"},
		{"engine arms a timer", "ice", `package ice; import "time"; var t = time.NewTimer(1)`, "no time.NewTimer"},
		{"engine computes with times", "ice", `package ice; import "time"; func f(t time.Time) time.Time { return t.Add(time.Second) }`, ""},
		{"engine has a field called Now", "ice", `package ice; type x struct{ Now int }; func f(time x) int { return time.Now }`, ""},
		{"engine starts a goroutine", "dtls", `package dtls; func f() { go f() }`, "no goroutine"},
		{"engine uses global randomness", "ice", `package ice; import "math/rand/v2"; var n = rand.IntN(3)`, "no rand.IntN"},
		{"engine seeds a generator", "ice", `package ice; import "math/rand/v2"; var r = rand.New(rand.NewPCG(1, 2))`, ""},
		{"I/O imports an engine", "internal/netio", `package netio; import "` + Module + `/ice"`, "I/O imports no engine"},
		{"simulator imports an engine", "internal/netsim", `package netsim; import "` + Module + `/sctp"`, "I/O imports no engine"},
		{"simulator imports I/O", "internal/netsim", `package netsim; import "` + Module + `/internal/netio"`, ""},
		{"I/O reads the clock", "internal/netio", `package netio; import ("net"; "time"); var c net.Conn; var t = time.Now()`, ""},
		{"an internal package imports the root", "internal/trace", `package trace; import "` + Module + `"`, "root package"},
		{"an example imports the root", "examples/call", `package main; import "` + Module + `"`, ""},
		{"media imports the root", "media", `package media; import "` + Module + `"`, ""},
		{"the root imports engines", ".", `package webrtc; import _ "` + Module + `/ice"; import _ "` + Module + `/dtls"`, ""},
		{"the library imports a test peer", ".", `package webrtc; import "github.com/pion/dtls/v3"`, "test peer"},
		{"the library imports a codec", ".", `package webrtc; import "github.com/pion/rtp/codecs"`, ""},
		{"a package called util", "internal/util", `package util`, "says nothing"},
		{"a package called types", "ice/types", `package types`, "says nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "x.go", tc.src, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			found := checkFile(fset, tc.dir, file)
			switch {
			case tc.want == "" && len(found) != 0:
				t.Errorf("unexpected violation: %v", found)
			case tc.want != "" && len(found) != 1:
				t.Errorf("%d violations, want one with %q: %v", len(found), tc.want, found)
			case tc.want != "" && !strings.Contains(found[0].String(), tc.want):
				t.Errorf("got %v, want %q", found[0], tc.want)
			}
		})
	}
}

// TestWalk shows what the walk takes in and what it leaves out.
func TestWalk(t *testing.T) {
	root := t.TempDir()
	bad := `package ice; import "os"`
	for name, src := range map[string]string{
		"go.mod":               "module " + Module,
		"ice/agent.go":         bad,
		"ice/agent_windows.go": bad, // build constraints do not excuse
		"ice/agent_test.go":    bad,
		"ice/testdata/x.go":    bad,
		"ice/.hidden/x.go":     bad,
		"bench/go.mod":         "module " + Module + "/bench",
		"bench/util/x.go":      "package util",
	} {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, packages, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || !strings.HasSuffix(found[0].Pos.Filename, "agent.go") || !strings.HasSuffix(found[1].Pos.Filename, "agent_windows.go") {
		t.Errorf("found %v, want agent.go and agent_windows.go", found)
	}
	if !slices.Equal(packages, []string{"ice"}) {
		t.Errorf("packages %v, want ice", packages)
	}
	if err := os.WriteFile(filepath.Join(root, "broken.go"), []byte("package"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Check(root); err == nil {
		t.Error("a file that does not parse passed")
	}
}
