package main

import (
	"context"
	"slices"
	"time"
)

// CutAndArm cuts l as reset does, and the next n connections in their
// handshake.
func (r *relay) CutAndArm(l *link, n int) (record, bool) {
	if !l.begin() {
		return record{}, false
	}
	r.mu.Lock()
	r.armed = n
	r.mu.Unlock()
	now := time.Now()
	l.close(true)
	return record{kind: reset, start: now, seen: now}, true
}

// cutHandshake closes both sides after the first 1 to 200 bytes of one way. It
// is called with mu held, and returns what is to be done without it.
func (r *relay) cutHandshake(l *link) func() {
	l.begin()
	w := l.up
	if r.rnd.IntN(2) == 1 {
		w = l.down
	}
	hard := r.rnd.IntN(2) == 1
	w.restrict(inCount, 1+r.rnd.IntN(200))
	return func() {
		hit := r.awaitHit(w, l, time.Second)
		now := time.Now()
		l.close(hard)
		select {
		case r.handshakes <- record{kind: handshake, start: now, seen: now, idle: !hit}:
		case <-r.done:
		}
	}
}

// AwaitHandshake returns the record of a connection cut in its handshake. It
// returns false if none will come since a connection was faster than CutAndArm.
func (r *relay) AwaitHandshake(ctx context.Context) (rec record, ok bool, err error) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case rec := <-r.handshakes:
			return rec, true, nil
		case <-ctx.Done():
			return record{}, false, ctx.Err()
		case <-t.C:
			if r.disarm() {
				return record{}, false, nil
			}
		}
	}
}

// disarm disarms the relay if there is a connection that can be cut, and says
// whether it did.
func (r *relay) disarm() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.armed == 0 || !slices.ContainsFunc(r.links, (*link).usable) {
		return false
	}
	r.armed = 0
	return true
}
