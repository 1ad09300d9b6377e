package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// childTimeout is far beyond any scenario's time: setting up 5,000 connections, or 20 seconds of the impaired path.
const childTimeout = 4 * time.Minute

// lostTries is how often a run is tried that lost media: a machine that is busy elsewhere drops packets of any library.
const lostTries = 3

// childCommand is this program again, as a child process that does not outlive ctx.
func childCommand(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if *flagQuick {
		args = append(args, "-quick")
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// errOversize fails the whole program: figures made with jumbo datagrams are not worth having.
var errOversize = errors.New("datagrams larger than the wire allows")

func runParent() error {
	selection, err := selectCases(*flagCase)
	if err != nil {
		return err
	}
	out := newReport(os.Stdout, *flagJSON)
	if err := out.header(); err != nil {
		return err
	}
	var oversize error
	for _, s := range selection {
		results, err := measure(s)
		if errors.Is(err, errOversize) {
			oversize = errors.Join(oversize, err)
		} else if err != nil {
			return err
		}
		for _, c := range s.cases {
			if err := out.line(c, results[ours].median(c.name), results[theirs].median(c.name)); err != nil {
				return err
			}
		}
	}
	return oversize
}

// selectCases returns the scenarios that -case asks for, with the cases of each that it asks for.
func selectCases(pattern string) ([]scenario, error) {
	var selection []scenario
	for _, s := range scenarios {
		var wanted []benchCase
		for _, c := range s.cases {
			ok, err := selected(pattern, c.name)
			if err != nil {
				return nil, fmt.Errorf("-case %s: %w", pattern, err)
			}
			if ok {
				wanted = append(wanted, c)
			}
		}
		if len(wanted) > 0 {
			s.cases = wanted
			selection = append(selection, s)
		}
	}
	if len(selection) == 0 {
		return nil, fmt.Errorf("%w: %s", errNoCase, pattern)
	}
	return selection, nil
}

// series are the results of one library in one scenario.
type series struct {
	runs   []map[string]float64
	failed bool
}

// median is nil if a run failed: a library that stalls now and then has not passed.
func (s *series) median(name string) *float64 {
	if s == nil || s.failed || len(s.runs) == 0 {
		return nil
	}
	values := make([]float64, 0, len(s.runs))
	for _, r := range s.runs {
		v, measured := r[name]
		if !measured {
			return nil // the library has nothing of the kind
		}
		values = append(values, v)
	}
	slices.Sort(values)
	m := values[len(values)/2]
	if len(values)%2 == 0 {
		m = (m + values[len(values)/2-1]) / 2
	}
	return &m
}

// measure runs the scenario with the libraries in turns.
func measure(s scenario) (map[string]*series, error) {
	results := make(map[string]*series)
	runs := *flagRuns
	if s.runs > 0 {
		runs = min(runs, s.runs)
	}
	for i := range runs {
		order := []string{ours, theirs}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, name := range order {
			if name == theirs && s.alone {
				continue
			}
			r := results[name]
			if r == nil {
				r = &series{}
				results[name] = r
			}
			if r.failed {
				continue
			}
			if err := r.run(s, name, uint64(i)); err != nil {
				return results, err
			}
		}
	}
	if !s.bulk {
		return results, nil
	}
	return results, checkSizes(s, results)
}

// run adds one run. Its error is the program's; a failure of the library is noted in the series.
func (r *series) run(s scenario, name string, seed uint64) error {
	args := []string{"-child", s.name, "-stack", name}
	var rel *relay
	if s.path != nil {
		var err error
		if rel, err = startRelay(*s.path, seed); err != nil {
			return err
		}
		defer rel.stop()
		args = append(args, "-wire", rel.wire().String())
	}
	got, err := runChildProcess(args)
	for try := 1; try < lostTries && errors.Is(err, errLost); try++ {
		got, err = runChildProcess(args)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %v\n", s.name, name, err)
		r.failed = true
		return nil
	}
	r.runs = append(r.runs, got)
	if rel == nil {
		return nil
	}
	return rel.checkSize(s.name, name)
}

// checkSizes runs the scenario once more, briefly, through a relay that does nothing but look. What could not be looked
// at does not count.
func checkSizes(s scenario, results map[string]*series) error {
	var all error
	for _, name := range []string{ours, theirs} {
		r := results[name]
		if r == nil || r.failed {
			continue
		}
		rel, err := startRelay(impairment{}, 0)
		if err != nil {
			return err
		}
		_, err = runChildProcess([]string{"-child", s.name, "-stack", name, "-short", "-wire", rel.wire().String()})
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %s: size of datagrams: %v\n", s.name, name, err)
			r.failed = true
		}
		all = errors.Join(all, rel.checkSize(s.name, name))
		rel.stop()
	}
	return all
}

func (r *relay) checkSize(scenario, name string) error {
	if n := r.largestIP(); n > maxDatagram {
		return fmt.Errorf("%s: %s: %w: %d bytes", scenario, name, errOversize, n)
	}
	return nil
}

func runChildProcess(args []string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), childTimeout)
	defer cancel()
	cmd, err := childCommand(ctx, args...)
	if err != nil {
		return nil, err
	}
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("not done after %v", childTimeout)
	}
	if err != nil {
		return nil, err
	}
	var result childResult
	if err := json.Unmarshal(out, &result); err != nil {
		return nil, fmt.Errorf("child process: %w", err)
	}
	switch {
	case result.Lost:
		return nil, fmt.Errorf("%w%s", errLost, strings.TrimPrefix(result.Error, errLost.Error()))
	case result.Error != "":
		return nil, errors.New(result.Error)
	}
	return result.Values, nil
}
