package resume

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"culvert/internal/inplace"
)

// Attachment is one carrier of a Conn, from before it is there: a request that
// asks for it says how much was received until then.
type Attachment struct {
	conn    *Conn
	offset  uint64 // what was received when it was fixed
	fixed   bool
	attempt uint64

	carrier Carrier
	reader  inplace.Reader // carrier
	framer  framer         // carrier, if it can use memory in place
	joiner  joiner         // carrier, if it can send a text with data
	born    time.Time
	resumes bool // it is not the first

	since    time.Time // born, or that of the carrier whose place it took without a cut
	progress uint64    // Conn.progress when it was attached
	in       uint64    // how many bytes had been received by then
	acked    uint64    // how many bytes the peer had acknowledged by then
	sent     uint64    // how many had been sent by then
	stuck    int

	behind  atomic.Bool // what comes was received before, or may have been
	reading bool        // skip is known; belongs to the reader, as does
	skip    uint64      // how much of what comes was received before
}

// Prepare begins an Attachment. A later one takes its place.
func (c *Conn) Prepare() *Attachment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.prepare()
}

func (c *Conn) prepare() *Attachment {
	a := &Attachment{conn: c, attempt: c.attempts, stuck: c.search.stuck}
	c.attempts++
	c.prepared = a
	return a
}

// Offset returns how many bytes this side has received: the peer is to send on
// the carrier what follows them. The first call fixes it, and until Attach or
// Abandon nothing beyond it is acknowledged.
func (a *Attachment) Offset() uint64 {
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	return a.fix()
}

func (a *Attachment) fix() uint64 {
	if !a.fixed {
		a.fixed, a.offset = true, a.conn.in.Load()
	}
	return a.offset
}

// Attempt returns the number of the attempt, in the client's role. It grows, so
// that a request which was delayed cannot take over from a later one.
func (a *Attachment) Attempt() uint64 { return a.attempt }

// Check returns a *RefusedError if this side cannot continue where the peer is,
// which says that it has received so many bytes.
func (a *Attachment) Check(received uint64) error {
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	return a.conn.check(received)
}

func (c *Conn) check(received uint64) error {
	if !c.peerEnd && received < c.out.start || received > c.out.sent {
		return &RefusedError{http.StatusConflict, fmt.Sprintf(
			"offset %d is not among those kept, %d to %d", received, c.out.start, c.out.sent)}
	}
	return nil
}

// Abandon gives up an Attachment that got no carrier.
func (a *Attachment) Abandon() {
	c := a.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.prepared == a {
		c.prepared = nil
		c.owe(func(o *owed) { o.ack = o.ack || c.told.Load() < c.in.Load() })
	}
}

// Attach makes carrier what carries the stream, in the place of the one before,
// which it closes. received is how many bytes the peer says that it has: what
// follows them is sent again. The Conn owns carrier from here on; an error
// closes it.
func (a *Attachment) Attach(carrier Carrier, received uint64) error {
	c := a.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.errLocked()
	if c.isClosed && !c.finished {
		err = nil // to tell the peer
	}
	switch {
	case err == nil && c.confirmation == isPlain:
		err = errUnconfirmed
	case err == nil && c.prepared != a:
		err = errOvertaken
	case err == nil:
		c.prepared = nil
		err = c.check(received)
	}
	if err != nil {
		abort(carrier)
		return err
	}
	a.carrier, a.born = carrier, time.Now()
	a.reader = inplace.Of(carrier)
	a.framer, _ = carrier.(framer)
	a.joiner, _ = carrier.(joiner)
	a.behind.Store(true)
	c.told.Store(max(c.told.Load(), a.fix()))
	moved := received > c.out.start && !c.peerEnd
	replayed := c.out.resume(received)
	c.grow.begin()
	c.begin(a, c.cur.Load())
	before := c.cur.Swap(a)
	a.resumes = c.last.Swap(a) != nil
	if before != nil {
		c.replace(before)
	} else if c.keeper != nil && a.resumes {
		c.keeper.attached()
	}
	if a.resumes {
		c.confirm() // the client knows the name
	}
	c.accepted(a, before, moved)
	c.attached(a, before == nil, replayed)
	return nil
}

// replaceDelay is how long a server leaves a carrier open that another one took
// over from, for the client to see the other one first. Only one is left so.
const replaceDelay = time.Second

// replace ends the use of a carrier that another one took over from; mu is held.
func (c *Conn) replace(before *Attachment) {
	c.endLeaving()
	if c.dial != nil || c.flushing || c.texting {
		abort(before.carrier)
		return
	}
	_ = before.carrier.SetReadDeadline(longAgo)
	c.leaving = before
	time.AfterFunc(replaceDelay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.leaving == before {
			c.endLeaving()
		}
	})
}

// endLeaving closes the carrier that replace has left open; mu is held.
func (c *Conn) endLeaving() {
	if a := c.leaving; a != nil {
		c.leaving = nil
		abort(a.carrier)
	}
}

// attached starts what a new carrier brings with it; mu is held.
func (c *Conn) attached(a *Attachment, wasCut bool, replayed int64) {
	var gap time.Duration
	if wasCut && a.resumes {
		gap = time.Since(c.cutAt)
	}
	c.cutBy, c.noWay = nil, nil
	c.renewing = false
	c.steerLocked()
	c.beat.begin(c)
	if c.owed.any() || a.resumes || c.isClosed {
		c.owe(func(o *owed) { o.ack, o.end = a.resumes || o.ack, c.isClosed })
	}
	if c.out.next < c.out.end && !c.flushing {
		c.flushing = true
		c.own(c.flushBehind)
	}
	c.room.Ring()
	if a.resumes {
		c.cfg.Observe.resumed(gap, replayed)
	}
}

// cut ends the use of a because of err; mu is held.
func (c *Conn) cut(a *Attachment, err error) {
	if c.cur.Load() != a {
		return
	}
	c.cur.Store(nil)
	abort(a.carrier)
	c.readable.Ring()
	if c.isOver() {
		c.finish()
		return
	}
	if c.confirmation == isPlain {
		c.fail(err)
		return
	}
	c.cutAt, c.cutBy = time.Now(), err
	if !c.renewing { // a server may have let it go for the next one
		c.ages.died(c.cutAt.Sub(a.born))
	}
	c.judge(a, c.cutAt, err)
	if c.keeper != nil {
		c.limit = c.keeper.detached()
	}
	c.beat.reset(c, c.window()-c.cutAt.Sub(c.search.lostAt))
	c.cfg.Observe.cut(err)
	c.redial()
}

// isOver reports whether no carrier is needed any more; mu is held.
func (c *Conn) isOver() bool {
	if c.confirmation == isPlain && c.isClosed && c.out.next == c.out.end && !c.flushing {
		return true
	}
	return c.finished || c.over != nil || c.peerEnd && (c.isClosed || c.total() >= c.peerSent) || c.isClosed && c.endAcked
}

// fail ends the stream because of err; mu is held.
func (c *Conn) fail(err error) {
	if c.over != nil || c.finished {
		return
	}
	c.over = err
	var lost *LostError
	if errors.As(err, &lost) && !c.isClosed {
		c.cfg.Observe.lost(err)
	}
	c.finish()
}
