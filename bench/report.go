package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
)

// report prints a line a case.
type report struct {
	w    io.Writer
	json bool
}

// result is one line; a library that failed the case has null.
type result struct {
	Case   string   `json:"case"`
	Unit   string   `json:"unit"`
	Ours   *float64 `json:"ours"`
	Theirs *float64 `json:"theirs"`
	Ratio  *float64 `json:"ratio"`
}

func newReport(w io.Writer, asJSON bool) *report { return &report{w: w, json: asJSON} }

const columns = "%-24s %-23s %10s %10s %8s\n"

func (r *report) header() error {
	if r.json {
		return nil
	}
	_, err := fmt.Fprintf(r.w, columns, "case", "unit", "ours", "theirs", "ratio")
	return err
}

func (r *report) line(c benchCase, ours, theirs *float64) error {
	l := result{Case: c.name, Unit: c.unit, Ours: round(ours), Theirs: round(theirs)}
	if ours != nil && theirs != nil && *theirs != 0 {
		ratio := *ours / *theirs
		l.Ratio = round(&ratio)
	}
	if r.json {
		return json.NewEncoder(r.w).Encode(l)
	}
	_, err := fmt.Fprintf(r.w, columns, l.Case, l.Unit, text(l.Ours), text(l.Theirs), text(l.Ratio))
	return err
}

// round keeps four significant digits: more is noise.
func round(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(*v, 'g', 4, 64), 64)
	if err != nil {
		return nil
	}
	return &r
}

func text(v *float64) string {
	if v == nil {
		return "null"
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}
