package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// talk is the call itself: media, chat and file. It returns when both sides are done, or with an error when ctx ends.
// leave ends when this side wants to go.
func (p *peer) talk(ctx, leave context.Context, c *chat) error {
	p.work.Go(func() { p.watchChat(ctx, c) })
	if err := c.say(p.message); err != nil {
		return fmt.Errorf("%w: %w", errPeerLeft, err)
	}
	p.work.Go(func() { p.readLines(leave, c) })
	var sending sync.WaitGroup
	for _, player := range p.players {
		if p.duration > 0 {
			player.StopAt(p.duration)
		}
		sending.Go(func() {
			var err error
			if player.sent, player.played, err = player.Play(leave); err != nil {
				p.fail(err)
			}
		})
	}
	sending.Go(func() { p.sendFile(leave) })
	sending.Wait()

	frames := make(map[string]uint64)
	var played time.Duration
	for _, player := range p.players {
		frames[player.track.Kind().String()] += player.sent
		played = max(played, player.played)
	}
	if err := c.bye(frames, played); err != nil {
		return cmp.Or(context.Cause(ctx), fmt.Errorf("%w: %w", errPeerLeft, err))
	}
	return p.finish(ctx, leave, c)
}

// finish waits for the other side's bye and for what it has sent before. Who is in a hurry waits for a moment only.
func (p *peer) finish(ctx, leave context.Context, c *chat) error {
	select {
	case <-c.finished:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-leave.Done():
		if !waitFor(ctx, closeTimeout, c.finished) {
			return context.Cause(leave)
		}
	}
	p.mu.Lock()
	recordings := p.recordings
	p.mu.Unlock()
	for _, r := range recordings {
		select {
		case <-r.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// watchChat ends the call when the chat ends before its time: then the other side is gone.
func (p *peer) watchChat(ctx context.Context, c *chat) {
	select {
	case <-c.closed:
	case <-ctx.Done():
		return
	}
	select {
	case <-c.finished:
	default:
		p.fail(errPeerLeft)
	}
}

// readLines says what is typed.
func (p *peer) readLines(ctx context.Context, c *chat) {
	for {
		select {
		case line, ok := <-p.lines:
			if !ok || c.say(line) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// sendFile sends the file. A failure ends the transfer, not the call.
func (p *peer) sendFile(ctx context.Context) {
	t := &transfer{Sending: true, Name: p.file.name, Size: p.file.size}
	p.track(t)
	if err := t.send(ctx, p.pc, p.file.content); err != nil {
		p.screen.printf("%s: sending %s: %v", p.name, t.Name, err)
	}
}

// wantsKeyFrame tells whether a receiver has lost the picture (RFC 4585, section 6.3.1; RFC 5104, section 4.3.1).
func wantsKeyFrame(packets []rtcp.Packet) bool {
	for _, packet := range packets {
		switch packet.(type) {
		case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
			return true
		}
	}
	return false
}
