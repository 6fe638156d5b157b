package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	evictedVictims  = 20
	evictingASecond = 1000
)

// evictions fills the server with tunnels that are closed at once, under many
// names, while others have lost their connection: those are not to make room, but
// what was of no use.
func evictions(ctx context.Context, t *target) {
	together(
		func() {
			t.paced(ctx, evictingASecond, func(ctx context.Context, i int) {
				s, ok := t.open(ctx, i, upgrade{token: fmt.Sprintf("attacker %d", i%10), resume: true})
				if !ok {
					return
				}
				_ = s.Close()
				t.add("opened and closed", 1)
			})
		},
		func() {
			t.keep(ctx, evictedVictims, 0, func(ctx context.Context, i int) { t.comeBack(ctx, i) })
		},
	)
}

// comeBack uses a tunnel, loses its connection, and resumes it a second later.
func (t *target) comeBack(ctx context.Context, i int) {
	u := upgrade{token: fmt.Sprintf("victim %d", i), resume: true}
	s, ok := t.open(ctx, i, u)
	if !ok || s.session == "" {
		return
	}
	ping := appendMux(nil, muxPing, flagSYN, 0, 7)
	_, _ = s.Write(binaryFrame(bytes.Repeat(ping, 10)))
	if _, _, _, _, err := s.muxHeader(); err != nil {
		t.dropped(ctx)
		return
	}
	u.session, u.attempt, u.resume = s.session, 1, false
	_ = s.Close()
	wait(time.Second, ctx.Done())
	again, err := t.secure(ctx, i)
	if err != nil {
		t.failed(ctx)
		return
	}
	defer func() { _ = again.Close() }()
	status, err := again.ask(u)
	switch {
	case err != nil:
		t.failed(ctx)
	case status == http.StatusSwitchingProtocols:
		t.add("victims resumed", 1)
	default:
		t.breach(fmt.Sprintf("a victim's request to resume was answered with %d", status))
	}
}
