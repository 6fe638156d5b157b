package main

import (
	"context"
	"net/http"
	"time"
)

// heldForLong is how many connections of one session the server may hold that
// another one took over from.
const heldForLong = 8

// resumeFlood resumes one session as often as it can, and reads none of its
// connections' ends: the server has to close those that came before.
func resumeFlood(ctx context.Context, t *target) {
	first, ok := t.open(ctx, 0, upgrade{token: "attacker", resume: true})
	if !ok || first.session == "" {
		t.breach("there is no session to resume")
		return
	}
	defer func() { _ = first.Close() }()
	if _, err := first.Write(binaryFrame(idleConnections())); err != nil {
		t.dropped(ctx)
		return
	}
	carriers := []carrier{{first.drain(), time.Now()}}
	for attempt := uint64(1); ctx.Err() == nil; attempt++ {
		s, err := t.secure(ctx, int(attempt))
		if err != nil {
			t.failed(ctx)
			continue
		}
		defer func() { _ = s.Close() }() // only then: the server has to do it
		switch status, err := s.ask(upgrade{token: "attacker", session: first.session, attempt: attempt}); {
		case err != nil:
			t.failed(ctx)
		case status == http.StatusSwitchingProtocols:
			t.add("resumed", 1)
			carriers = append(carriers, carrier{s.drain(), time.Now()})
		default:
			t.add("refused", 1)
			_ = s.Close()
		}
		t.checkHeld(carriers)
	}
}

// carrier is a connection of the session.
type carrier struct {
	over <-chan struct{}
	born time.Time
}

// checkHeld looks whether the server holds more connections than it may, of those
// that it had the time to close.
func (t *target) checkHeld(carriers []carrier) {
	held := 0
	for _, c := range carriers {
		select {
		case <-c.over:
		default:
			if time.Since(c.born) > 2*time.Second {
				held++
			}
		}
	}
	if held > heldForLong {
		t.breach("the server holds many connections of one session")
	}
}
