package relay

import (
	"context"
	"slices"
	"time"
)

// cutAndArm cuts l as reset does, and the next n connections in their
// handshake.
func (r *Relay) cutAndArm(l *link, n int) (Record, bool) {
	if !l.begin() {
		return Record{}, false
	}
	r.mu.Lock()
	r.armed = n
	r.mu.Unlock()
	now := time.Now()
	l.close(true)
	return Record{Kind: reset, Start: now, Seen: now}, true
}

// cutHandshake closes both sides after the first 1 to 200 bytes of one way. It
// is called with mu held, and returns what is to be done without it.
func (r *Relay) cutHandshake(l *link) func() {
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
		case r.handshakes <- Record{Kind: handshake, Start: now, Seen: now, idle: !hit}:
		case <-r.done:
		}
	}
}

// awaitHandshake returns the record of a connection cut in its handshake. It
// returns false if none will come since a connection was faster than cutAndArm.
func (r *Relay) awaitHandshake(ctx context.Context) (rec Record, ok bool, err error) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case rec := <-r.handshakes:
			return rec, true, nil
		case <-ctx.Done():
			return Record{}, false, ctx.Err()
		case <-t.C:
			if r.disarm() {
				return Record{}, false, nil
			}
		}
	}
}

// disarm disarms the relay if there is a connection that can be cut, and says
// whether it did.
func (r *Relay) disarm() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.armed == 0 || !slices.ContainsFunc(r.links, (*link).usable) {
		return false
	}
	r.armed = 0
	return true
}
