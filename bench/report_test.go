package main

import (
	"strings"
	"testing"
)

func TestJSONHasExactlyTheKeys(t *testing.T) {
	var out strings.Builder
	r := newReport(&out, true)
	if err := r.header(); err != nil {
		t.Fatal(err)
	}
	mine, other := 1.5, 3.0
	if err := r.line(benchCase{"dc-16KiB", "CPU s/GB"}, &mine, &other); err != nil {
		t.Fatal(err)
	}
	if err := r.line(benchCase{"dc-100ch", "CPU s/GB"}, &mine, nil); err != nil {
		t.Fatal(err)
	}
	want := `{"case":"dc-16KiB","unit":"CPU s/GB","ours":1.5,"theirs":3,"ratio":0.5}
{"case":"dc-100ch","unit":"CPU s/GB","ours":1.5,"theirs":null,"ratio":null}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestAFailedRunFailsTheCase(t *testing.T) {
	s := &series{runs: []map[string]float64{{"x": 3}, {"x": 1}, {"x": 2}}}
	if m := s.median("x"); m == nil || *m != 2 {
		t.Errorf("median %v, want 2", m)
	}
	s.failed = true
	if m := s.median("x"); m != nil {
		t.Errorf("median %v of a series with a failure", *m)
	}
	if (*series)(nil).median("x") != nil {
		t.Error("median without a series")
	}
}

func TestEveryCaseOfTheListIsThereOnce(t *testing.T) {
	want := strings.Fields(`setup-cpu setup-wall setup-cpu-dtls12 idle-memory idle-goroutines idle-cpu
		mux-1000-setup-cpu mux-1000-memory mux-1000-goroutines mux-1000-idle-cpu mux-1000-echo mux-1000-restart
		mux-5000-setup-cpu mux-5000-memory mux-5000-goroutines mux-5000-idle-cpu mux-5000-echo mux-5000-restart
		dtls-handshake-12 dtls-handshake-13 dtls-handshake-13-mlkem dtls-record dtls-record-12 dtls-record-pion dtls-idle-memory
		dc-64B dc-1200B dc-16KiB dc-time-16KiB dc-16KiB-buffers dc-time-16KiB-buffers dc-16KiB-unordered dc-16KiB-unreliable dc-256KiB dc-100ch dc-rtt-p50 dc-rtt-p99 dc-rtt-idle-p50 dc-rtt-idle-p99
		dc-loss-0 dc-loss-0-buffers dc-loss-1 dc-loss-1-buffers dc-loss-3 dc-loss-3-buffers
		rtp-send-recv rtp-forward-50 rtp-forward-50-burst8
		turn-relay turn-relay-indications turn-relay-video turn-relay-saturated turn-relay-saturated-video`)
	var got []string
	for _, s := range scenarios {
		for _, c := range s.cases {
			got = append(got, c.name)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("cases\n%v\nwant\n%v", got, want)
	}
}

func TestCaseIsANameAListOrAPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    bool
	}{
		{"", true}, {"dc-64B", true}, {"dc-6", false}, {"setup-cpu,dc-64B", true}, {"dc-*", true}, {"rtp-*", false},
	} {
		if got, err := selected(c.pattern, "dc-64B"); err != nil || got != c.want {
			t.Errorf("-case %q: %v, %v, want %v", c.pattern, got, err, c.want)
		}
	}
}
