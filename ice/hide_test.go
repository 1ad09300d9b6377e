package ice

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// published answers for the names that the agent asks for.
func (s *script) published(name string, err error) (n int) {
	s.t.Helper()
	for _, e := range s.drain() {
		if e, ok := e.(EventPublish); ok {
			n++
			s.a.HandlePublishResult(s.now, e.Gen, e.Base, name, err)
		}
	}
	s.drain()
	return n
}

// announced returns the candidate lines.
func (s *script) announced() (list []string) {
	for _, e := range s.events {
		if e, ok := e.(EventCandidate); ok {
			list = append(list, e.Candidate.String())
		}
	}
	return list
}

func hidden(c *Config) {
	c.HideHosts = true
	c.Servers = []Server{{Kind: ServerSTUN, Host: "203.0.113.1"}}
}

func TestHostsAreHiddenBehindNames(t *testing.T) {
	s := newScript(t, RoleControlling, hidden)
	if list := s.announced(); len(list) != 0 || s.a.GatheringState() != GatheringActive {
		t.Fatalf("announced before there is a name: %v", list)
	}
	n := 0
	for _, e := range s.events {
		if e, ok := e.(EventPublish); ok {
			n++
			s.a.HandlePublishResult(s.now, e.Gen, e.Base, "one.local", nil)
			s.a.HandlePublishResult(s.now, e.Gen, e.Base, "two.local", nil) // there is one already
		}
	}
	s.drain()
	if n != 1 {
		t.Errorf("%d names are asked for", n)
	}
	t.Log("# the reflexive candidate does not tell the host's address either")
	q := s.wantRequest()
	if err := s.recv(q.Remote, mapped(t, q, "198.51.100.7:777")); err != nil {
		t.Fatal(err)
	}
	s.drain()
	list := s.announced()
	if len(list) != 2 || !strings.Contains(list[0], " one.local 4001 typ host") ||
		!strings.Contains(list[1], " 198.51.100.7 777 typ srflx raddr 0.0.0.0 rport 0") {
		t.Errorf("announced %q", list)
	}
	if strings.Contains(strings.Join(list, ""), s.local.Addr().String()) {
		t.Errorf("the address is in %q", list)
	}
	if s.a.GatheringState() != GatheringComplete {
		t.Error("gathering goes on")
	}
	t.Log("# a restart keeps the name")
	s.events = nil
	if err := s.a.Restart(s.now, Parameters{}); err != nil {
		t.Fatal(err)
	}
	s.bindAll("10.0.0.1")
	if n := s.published("three.local", nil); n != 0 {
		t.Errorf("%d names are asked for", n)
	}
	if list := s.announced(); len(list) != 1 || !strings.Contains(list[0], " one.local ") {
		t.Errorf("announced %q", list)
	}
}

func TestWithoutANameNothingIsAnnounced(t *testing.T) {
	s := newScript(t, RoleControlling, func(c *Config) { c.HideHosts = true })
	for _, e := range s.events {
		if e, ok := e.(EventPublish); ok {
			s.a.HandlePublishResult(s.now, e.Gen, e.Base, "", errors.New("no multicast"))
		}
	}
	s.drain()
	if list := s.announced(); len(list) != 0 || len(s.candidateErrors()) != 1 {
		t.Errorf("announced %q, errors %v", list, s.candidateErrors())
	}
	if s.a.GatheringState() != GatheringComplete {
		t.Error("gathering goes on")
	}
	t.Log("# checks are made all the same")
	s.candidate("10.0.0.9:9000", TypeHost, 1000)
	s.wantRequest()
}

func TestANameThatComesTooLate(t *testing.T) {
	s := newScript(t, RoleControlling, func(c *Config) { c.HideHosts = true })
	s.advance(10 * time.Second)
	if s.a.GatheringState() != GatheringComplete {
		t.Fatal("gathering waits for the name")
	}
	for _, e := range s.events {
		if e, ok := e.(EventPublish); ok {
			s.a.HandlePublishResult(s.now, e.Gen, e.Base, "late.local", nil)
		}
	}
	s.drain()
	if list := s.announced(); len(list) != 0 {
		t.Errorf("announced after the end of candidates: %q", list)
	}
}
