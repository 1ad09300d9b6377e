package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// enough is the part of the frames sent that a good call receives.
const enough = 0.9

// A check is one condition of a good call.
type check struct {
	what string
	good bool
	how  string
}

// checks tells what was good and what was not.
func (r *report) checks() []check {
	checks := []check{{"connection", r.SetUp > 0, "set up in " + duration(r.SetUp.Seconds())}}
	for _, kind := range []string{"audio", "video"} {
		c := check{what: kind + " from the " + r.Other, how: "no track"}
		for _, track := range r.Recordings {
			if track.Kind == kind {
				c.good = track.Err == nil && track.Frames > 0 && float64(track.Frames) >= enough*float64(track.Expected)
				c.how = fmt.Sprintf("%d of %d frames", track.Frames, track.Expected)
				if track.Err != nil {
					c.how += ", " + track.Err.Error()
				}
			}
		}
		checks = append(checks, c)
	}
	chat := r.Chat
	checks = append(checks, check{
		what: "chat", good: chat.Lines > 0 && chat.Echoes == chat.Lines && chat.Wrong == 0,
		how: fmt.Sprintf("%d of %d lines echoed, round trip %s", chat.Echoes-chat.Wrong, chat.Lines, duration(chat.RoundTrip.Seconds())),
	})
	return append(checks, r.fileChecks()...)
}

// fileChecks wants one file in each direction, intact.
func (r *report) fileChecks() (checks []check) {
	received := false
	for _, t := range r.Transfers {
		what := "file from the " + r.Other
		if t.Sending {
			what = "file to the " + r.Other
		}
		received = received || !t.Sending
		c := check{what: what, good: t.Finished && t.Err == nil}
		switch {
		case c.good:
			c.how = "intact, " + byteCount(float64(t.Bytes)) + " in " + duration(t.Took.Seconds())
		case t.Err != nil:
			c.how = t.Err.Error()
		default:
			c.how = "not finished"
		}
		checks = append(checks, c)
	}
	if !received {
		checks = append(checks, check{what: "file from the " + r.Other, how: "none has come"})
	}
	return checks
}

// good tells whether all is well.
func (r *report) good() bool {
	for _, c := range r.checks() {
		if !c.good {
			return false
		}
	}
	return true
}

// A table is written in columns, with a row of headings.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, headings ...string) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row()
	t.row(headings...)
	return t
}

func (t table) row(cells ...string) {
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

func (t table) print() { _ = t.w.Flush() }

// printReports writes the tables at the end of the call: what was negotiated, what was measured, what was good.
func printReports(out io.Writer, reports []*report) {
	printConnections(out, reports)
	if slices.ContainsFunc(reports, func(r *report) bool { return r.SetUp > 0 }) {
		printStreams(out, reports)
		printFiles(out, reports)
	}
	t := newTable(out, "CHECK", "", "RESULT")
	for _, r := range reports {
		for _, c := range r.checks() {
			verdict := "good:"
			if !c.good {
				verdict = "BAD:"
			}
			t.row(r.Name, c.what, verdict, printable(c.how))
		}
	}
	t.print()
}

// printConnections has a column for each side.
func printConnections(out io.Writer, reports []*report) {
	headings := []string{"CONNECTION"}
	for _, r := range reports {
		headings = append(headings, strings.ToUpper(r.Name))
	}
	t := newTable(out, headings...)
	for _, property := range []struct {
		name  string
		value func(*report) string
	}{
		{"state", func(r *report) string { return r.State.String() }},
		{"set up in", func(r *report) string { return duration(r.SetUp.Seconds()) }},
		{"candidates", func(r *report) string { return r.Transport.Pair }},
		{"ICE", func(r *report) string { return strings.TrimSpace(r.Transport.Role + " " + r.Transport.RTT) }},
		{"DTLS", func(r *report) string { return r.Transport.DTLS }},
		{"DTLS group", func(r *report) string { return r.Transport.Group }},
		{"DTLS role", func(r *report) string { return r.Transport.DTLSRole }},
		{"SRTP", func(r *report) string { return r.Transport.SRTP }},
		{"sent", func(r *report) string { return traffic(r.Transport.PacketsOut, r.Transport.Sent) }},
		{"received", func(r *report) string { return traffic(r.Transport.PacketsIn, r.Transport.Received) }},
		{"dropped", func(r *report) string { return fmt.Sprintf("%d packets", r.Transport.Dropped) }},
		{"SCTP", func(r *report) string { return fmt.Sprintf("%d chunks repeated", r.Transport.SCTPRepeated) }},
	} {
		cells := []string{property.name}
		for _, r := range reports {
			cells = append(cells, orDash(property.value(r)))
		}
		t.row(cells...)
	}
	t.print()
}

// printStreams has a row for each RTP stream.
func printStreams(out io.Writer, reports []*report) {
	t := newTable(out, "STREAM", "", "CODEC", "PACKETS", "BYTES", "FRAMES", "LOST", "REPEATED", "JITTER", "RTT")
	for _, r := range reports {
		for _, s := range r.Streams {
			direction := "received"
			if s.Sent {
				direction = "sent"
			}
			t.row(r.Name+" "+direction, s.Kind, s.Codec, fmt.Sprint(s.Packets), byteCount(float64(s.Bytes)), fmt.Sprint(s.Frames),
				known(float64(s.Lost), number), fmt.Sprint(s.Retransmitted), known(s.Jitter, duration), known(s.RoundTrip, duration))
		}
	}
	t.print()
}

// printFiles has a row for each file, and the rate at which it went over its data channel.
func printFiles(out io.Writer, reports []*report) {
	t := newTable(out, "FILE", "", "SIZE", "TIME", "RATE")
	for _, r := range reports {
		for _, f := range r.Transfers {
			direction, rate := "received", "–"
			if f.Sending {
				direction = "sent"
			}
			if f.Finished && f.Took > 0 {
				rate = byteCount(float64(f.Bytes)/f.Took.Seconds()) + "/s"
			}
			t.row(r.Name+" "+direction, printable(f.Name), byteCount(float64(f.Bytes)), duration(f.Took.Seconds()), rate)
		}
	}
	t.print()
}

// printSaved lists the files that the call has left behind.
func printSaved(out io.Writer, reports []*report) {
	fmt.Fprintln(out, "\nSAVED")
	for _, r := range reports {
		for _, track := range r.Recordings {
			if track.Path != "" {
				fmt.Fprintln(out, track.Path)
			}
		}
		for _, t := range r.Transfers {
			if t.Path != "" {
				fmt.Fprintln(out, t.Path)
			}
		}
	}
}

func traffic(packets, bytes uint64) string {
	return fmt.Sprintf("%d packets, %s", packets, byteCount(float64(bytes)))
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// known formats a figure that may not be known.
func known(v float64, format func(float64) string) string {
	if v < 0 {
		return "–"
	}
	return format(v)
}
