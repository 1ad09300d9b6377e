package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// showStatus keeps the screen's status line up to date with a peer's connection until ctx ends.
func (p *peer) showStatus(ctx context.Context) {
	defer p.screen.status("")
	ticker := time.NewTicker(p.screen.interval())
	defer ticker.Stop()
	before, at := transportReport{}, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			current := readTransport(p.pc.GetStats())
			p.screen.status(p.statusLine(before, current, now.Sub(at).Seconds()))
			before, at = current, now
		}
	}
}

// statusLine says what has happened between two looks at the statistics.
func (p *peer) statusLine(before, now transportReport, seconds float64) string {
	fields := []string{p.pc.ConnectionState().String()}
	if now.Received > 0 {
		up := float64(now.Sent-before.Sent) * 8 / seconds
		down := float64(now.Received-before.Received) * 8 / seconds
		fields = append(fields,
			"↑ "+bitRate(up), "↓ "+bitRate(down), "RTT "+duration(now.roundTrip),
			fmt.Sprintf("%d packets, %d lost", now.mediaPackets, now.mediaLost))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.transfers {
		arrow := "↓"
		if t.Sending {
			arrow = "↑"
		}
		fields = append(fields, "file "+arrow+" "+t.progress())
	}
	return strings.Join(fields, "  ")
}
