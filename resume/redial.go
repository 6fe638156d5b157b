package resume

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Pauses between attempts: at random up to baseDelay, doubled with each failure,
// up to maxDelay ("full jitter"), but no more than half of how long the stream
// has been without a carrier, so that a short outage has no long sequel. They are
// as long as an error asks for that has the method RetryAfter, up to maxDelay. The
// first attempt does not wait.
const (
	baseDelay = 200 * time.Millisecond
	maxDelay  = 5 * time.Second
)

// redial looks for a carrier, in the client's role; mu is held.
func (c *Conn) redial() {
	if c.dial != nil && c.redials == nil && !c.finished {
		ctx, cancel := context.WithCancel(context.Background())
		c.redials = cancel
		c.own(func() { c.redialLoop(ctx) })
	}
}

// redialLoop dials until there is a carrier or the stream has ended. A failure
// while the carrier before still works ends the search until that is cut.
func (c *Conn) redialLoop(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for failures := 0; c.wantsCarrier(); {
		a := c.prepare()
		c.mu.Unlock()
		carrier, received, err := c.dial(ctx, a)
		if err == nil {
			err = a.Attach(carrier, received)
		}
		if err != nil {
			a.Abandon()
		}
		c.mu.Lock()
		if err == nil || !c.wantsCarrier() {
			continue
		}
		var refused *RefusedError
		switch {
		case c.cur.Load() != nil:
			c.renewing = false
		case errors.As(err, &refused):
			c.fail(&LostError{Cut: c.cutBy, Cause: err, After: time.Since(c.cutAt)})
		default:
			c.noWay = err
			limit := min(baseDelay<<min(failures, 10), maxDelay, max(baseDelay, time.Since(c.cutAt)/2))
			failures++
			c.mu.Unlock()
			pause(ctx, max(rand.N(limit), min(retryAfter(err), maxDelay)))
			c.mu.Lock()
		}
	}
	c.redials()
	c.redials = nil
}

// retryAfter returns how long err asks to wait, as the answer of an HTTP server may
// do.
func retryAfter(err error) time.Duration {
	var asks interface{ RetryAfter() (time.Duration, bool) }
	if !errors.As(err, &asks) {
		return 0
	}
	after, _ := asks.RetryAfter()
	return after
}

// wantsCarrier reports whether redialLoop has to go on; mu is held.
func (c *Conn) wantsCarrier() bool {
	return !c.isOver() && (c.cur.Load() == nil || c.renewing)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Drain asks the client for a new carrier, soon: the server's side, or a hop in
// front of it, is going to end this one. A client's own Drain begins to dial.
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dial == nil {
		c.owe(func(o *owed) { o.drain = true })
		return
	}
	c.renewing = c.cur.Load() != nil
	c.redial()
}
