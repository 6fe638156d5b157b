package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

const guessers = 4

// resumeGuessing tries to resume sessions that are not the attacker's. None of
// the requests may be answered with 101.
func resumeGuessing(ctx context.Context, t *target) {
	victim, ok := t.open(ctx, 0, upgrade{token: "victim", resume: true})
	if !ok || victim.session == "" {
		t.breach("there is no session to guess")
		return
	}
	over := victim.drain()
	defer func() {
		select {
		case <-over:
			if ctx.Err() == nil {
				t.breach("the victim's connection was closed")
			}
		default:
		}
	}()
	t.keep(ctx, guessers, 0, func(ctx context.Context, i int) {
		random := randomName()
		own := victim.session
		guesses := []upgrade{
			{token: "attacker", session: random},
			{token: "attacker", session: own},
			{token: "victim", session: own[:12] + random[12:]}, // the right identifier
			{session: own},
			{token: "attacker", session: strings.Repeat("-", 43)},
			{token: "attacker", session: own, attempt: 1<<63 - 2, offset: 1<<63 - 2},
		}
		for n, u := range guesses {
			u.attempt = max(u.attempt, 1)
			t.guess(ctx, i, u, n)
		}
	})
}

func (t *target) guess(ctx context.Context, i int, u upgrade, kind int) {
	s, err := t.secure(ctx, i)
	if err != nil {
		t.failed(ctx)
		return
	}
	defer func() { _ = s.Close() }()
	status, err := s.ask(u)
	if err != nil {
		t.failed(ctx)
		return
	}
	t.add(fmt.Sprintf("answered %d", status), 1)
	if status == http.StatusSwitchingProtocols {
		t.breach(fmt.Sprintf("guess %d was answered with 101", kind))
	}
}

// randomName returns something in the form of a session's name.
func randomName() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
