package fallback

import (
	"context"
	"slices"
	"sync"
	"time"
)

// What a Dialer keeps of targets that nobody uses.
const (
	maxUnused = 64
	unusedFor = time.Hour
)

// target returns the state of one destination, which the caller leaves later.
func (d *Dialer) target(dest destination) (*target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	t := d.targets[dest]
	if t == nil {
		if d.targets == nil {
			d.targets = map[destination]*target{}
			d.life, d.end = context.WithCancelCause(context.Background())
		}
		d.forgetUnused(time.Now())
		t = newTarget(d, dest)
		d.targets[dest] = t
	}
	t.users++
	return t, nil
}

// forgetUnused makes room among the targets that nobody uses: those unused for
// long, and half of them if there are many. What was found out about them stays
// in the memory of the process. d.mu is held.
func (d *Dialer) forgetUnused(now time.Time) {
	var unused []*target
	for dest, t := range d.targets {
		switch {
		case t.users > 0:
		case now.Sub(t.idleSince) > unusedFor:
			delete(d.targets, dest)
		default:
			unused = append(unused, t)
		}
	}
	if len(unused) < maxUnused {
		return
	}
	slices.SortFunc(unused, func(a, b *target) int { return a.idleSince.Compare(b.idleSince) })
	for _, t := range unused[:maxUnused/2] {
		delete(d.targets, t.dest)
	}
}

// enter registers one more who uses t.
func (t *target) enter() {
	t.dialer.mu.Lock()
	defer t.dialer.mu.Unlock()
	t.users++
}

// leave ends what target or enter began.
func (t *target) leave() {
	t.dialer.mu.Lock()
	defer t.dialer.mu.Unlock()
	if t.users--; t.users == 0 {
		t.idleSince = time.Now()
	}
}

// own has c keep t while it is open.
func (t *target) own(c *conn) *conn {
	t.enter()
	before := c.onClose
	c.onClose = sync.OnceFunc(func() {
		if before != nil {
			before()
		}
		t.leave()
	})
	return c
}
