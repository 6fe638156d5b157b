package resume

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// search is a client's search for carriers. Conn.mu guards it, but told.
type search struct {
	pace     pacer
	refusals refusals
	lostAt   time.Time     // when the latest useful carrier ended, or the first one
	stuck    int           // see Attachment.Stuck
	hurry    chan struct{} // gets one when the pause may be shorter than it was

	told atomic.Pointer[trouble] // what of pace Trouble may tell; nil if that is nothing
}

// trouble is a number of failures in a row, and the error of the latest.
type trouble struct {
	failures int
	last     error
}

// tell has Trouble tell what there is.
func (s *search) tell() {
	if s.pace.failures == 0 {
		s.told.Store(nil)
		return
	}
	s.told.Store(&trouble{s.pace.failures, s.pace.last})
}

// redial looks for a carrier, in the client's role; mu is held.
func (c *Conn) redial() {
	if c.dial == nil || c.finished {
		return
	}
	if c.redials != nil {
		select {
		case c.search.hurry <- struct{}{}:
		default:
		}
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.redials = cancel
	c.search.hurry = make(chan struct{}, 1)
	c.own(func() { c.redialLoop(ctx) })
}

// redialLoop dials until there is a carrier or the stream has ended.
func (c *Conn) redialLoop(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.wantsCarrier() {
		now := time.Now()
		if wait := c.search.pace.next(now, c.cur.Load() != nil, c.progress()).Sub(now); wait > 0 {
			hurry := c.search.hurry
			c.mu.Unlock()
			pause(ctx, hurry, wait)
			c.mu.Lock()
			continue
		}
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
		if err != nil && c.wantsCarrier() {
			c.dialFailed(err, time.Now())
		}
	}
	c.redials()
	c.redials = nil
}

// dialFailed says what follows from a dial that failed: the end, another one
// after a pause, or if the present carrier works none until that is cut. mu is
// held.
func (c *Conn) dialFailed(err error, now time.Time) {
	s := &c.search
	var refused *RefusedError
	var retry *RetryError
	final := false
	var soon time.Duration
	if errors.As(err, &retry) {
		final, soon = s.refusals.note(retry, now)
	} else {
		final = errors.As(err, &refused)
	}
	renewal := c.cur.Load() != nil
	switch {
	case renewal && !final && soon > 0:
		s.pace.renewAt = now.Add(soon)
	case renewal:
		c.renewing = false
		s.pace.onSpurned(now, err)
	case final:
		c.fail(&LostError{Cut: c.cutBy, Cause: err, After: now.Sub(s.lostAt)})
	default:
		c.noWay = err
		s.pace.onFailed(now, err, now.Sub(s.lostAt))
		if soon > 0 {
			s.pace.at = now.Add(soon)
		}
	}
	s.tell()
}

// wantsCarrier reports whether redialLoop has to go on; mu is held.
func (c *Conn) wantsCarrier() bool {
	return !c.isOver() && (c.cur.Load() == nil || c.renewing)
}

// pause waits for d, for hurry, or until ctx ends.
func pause(ctx context.Context, hurry <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry:
	case <-ctx.Done():
	}
}

// progress returns how many bytes were received, and acknowledged by the peer;
// mu is held.
func (c *Conn) progress() uint64 { return c.total() + c.out.start }

// isUseful reports whether a has lasted, or moved the stream forward; mu is held.
func (c *Conn) isUseful(a *Attachment, now time.Time) bool {
	return now.Sub(a.since) >= settleAfter || c.progress() > a.progress
}

// judge notes how a carrier ended that was cut because of err; mu is held. A
// server's window begins with every cut, a client's with that of a useful carrier.
func (c *Conn) judge(a *Attachment, now time.Time, err error) {
	s := &c.search
	defer s.tell()
	switch {
	case c.dial == nil:
		s.lostAt = now
	case c.isUseful(a, now):
		s.lostAt = now
		s.pace.onUseful()
		c.noteStuck(a)
	default:
		if s.lostAt.IsZero() {
			s.lostAt = now
		}
		c.noWay = &UselessError{After: now.Sub(a.since), Err: err}
		s.pace.onUseless(now, c.noWay)
		if s.pace.useless == 1 && c.out.sent > a.sent {
			s.pace.at = now // what the peer has received the next answer tells
			return
		}
		s.tell()
		c.cfg.Observe.useless(s.pace.useless, c.noWay)
	}
}

// begin notes where the stream is when a carries it from now on, perhaps in the
// place of before; mu is held.
func (c *Conn) begin(a, before *Attachment) {
	a.since, a.in = a.born, c.in.Load()
	if before != nil && c.dial != nil { // one after the other they last as long
		a.since = before.since
	}
	a.progress, a.acked, a.sent = c.progress(), c.out.start, c.out.sent
}

// accepted notes that a is a client's next carrier, in the place of before if
// that is not nil. moved says that the peer turned out to have received more than
// it had acknowledged: the carrier before was of use. mu is held.
func (c *Conn) accepted(a, before *Attachment, moved bool) {
	s := &c.search
	if c.dial == nil {
		return
	}
	if moved {
		s.stuck = 0
		s.pace.onUseful()
		s.lostAt = a.born
		if before == nil {
			s.lostAt = c.cutAt
		}
	}
	s.refusals = refusals{}
	s.pace.onAccepted(a.born, a.progress)
	s.tell()
}

// stuckFrom is how many bytes sent in vain may be a frame too large for a hop.
const stuckFrom = 16 << 10

// noteStuck counts a if the peer has got nothing of what was sent on it, though it
// was of use; mu is held.
func (c *Conn) noteStuck(a *Attachment) {
	if c.out.start > a.acked || c.out.next-c.out.start <= stuckFrom {
		c.search.stuck = 0
		return
	}
	c.search.stuck++
}

// Stuck returns how many carriers in a row have ended, before a was prepared, of
// which the peer got nothing, though more than 16 KiB were sent on each, and that
// were of use for what the peer sent. A hop may pass no frame as large as these.
func (a *Attachment) Stuck() int { return a.stuck }

// Trouble returns how many attempts to get a carrier of use were in vain, one
// after the other, and the error of the latest: dials that failed, and carriers
// that ended within 10 s and had moved the stream by nothing. It returns 0 and
// nil as soon as the present carrier is of use, and in the server's role. Hooks may
// call it.
func (c *Conn) Trouble() (failures int, last error) {
	t := c.search.told.Load()
	if t == nil {
		return 0, nil
	}
	if a := c.cur.Load(); a != nil && (c.in.Load() > a.in || time.Since(a.since) >= settleAfter) {
		return 0, nil
	}
	return t.failures, t.last
}

// renew has a client look for a carrier in the place of the one that works; mu
// is held.
func (c *Conn) renew() {
	c.renewing = true
	c.redial()
}

// onDrain does what a drain asks for, if it is not being done; mu is held. A
// client that is without a carrier dials anyway.
func (c *Conn) onDrain() {
	if a := c.cur.Load(); a != nil && !c.renewing {
		now := time.Now()
		c.search.pace.onDrain(now, now.Sub(a.born))
		c.renew()
	}
}

// Drain asks the client for a new carrier, soon: the server's side, or a hop in
// front of it, is going to end this one. A client's own Drain begins to dial. A
// carrier that is younger than 10 s is renewed after a pause, which grows if that
// goes on.
func (c *Conn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dial == nil {
		c.owe(func(o *owed) { o.drain = true })
		return
	}
	c.onDrain()
}
