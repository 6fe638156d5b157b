package resume

import (
	"errors"
	"fmt"
	"time"
)

// heartbeat looks after a carrier that is silent, and after a stream that has
// none. Conn.mu guards it.
type heartbeat struct {
	timer *time.Timer
	in    uint64    // bytes received, at the last look
	since time.Time // when the peer was last heard
	alive bool      // it was heard on this carrier
}

// begin starts to look after a new carrier.
func (h *heartbeat) begin(c *Conn) {
	h.in, h.since, h.alive = c.in.Load(), time.Now(), false
	h.reset(c, 0) // finds out when to look
}

// reset has the Conn looked after in d.
func (h *heartbeat) reset(c *Conn, d time.Duration) {
	if h.timer == nil {
		h.timer = time.AfterFunc(d, c.onBeat)
	} else {
		h.timer.Reset(d)
	}
}

func (h *heartbeat) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// heard notes that a text came. Reads only count their bytes, since a clock
// would cost more than all else that a short one does.
func (h *heartbeat) heard() { h.since, h.alive = time.Now(), true }

func (c *Conn) onBeat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finished {
		return
	}
	if a := c.cur.Load(); a != nil {
		c.lookAfter(a)
		return
	}
	after := time.Since(c.search.lostAt)
	if window := c.window(); after < window {
		c.beat.reset(c, window-after)
		return
	}
	c.fail(&LostError{Cut: c.cutBy, Cause: c.orNobody(c.noWay), After: after})
}

// orNobody returns err, or that nobody came with a new carrier.
func (c *Conn) orNobody(err error) error {
	if err == nil {
		err = errors.New("nobody asked for it")
	}
	return fmt.Errorf("within the window of %v: %w", c.window(), err)
}

// lookAfter looks after the carrier of a, and sets the timer; mu is held.
func (c *Conn) lookAfter(a *Attachment) {
	if next := c.look(a, time.Now()); next > 0 {
		c.beat.reset(c, next)
	}
}

// look asks a silent peer for a sign of life, cuts the carrier of one that gives
// none, and asks for another carrier before this one dies of age. It returns
// when to look again, 0 if that is seen to.
func (c *Conn) look(a *Attachment, now time.Time) time.Duration {
	h := &c.beat
	idle := false
	if in := c.in.Load(); in != h.in {
		h.in, h.since, h.alive = in, now, true
	} else if !c.rtoken.Held() {
		h.since = now // nobody reads: it is not the peer's fault
	} else {
		idle = true
	}
	const never = 24 * time.Hour
	if c.confirmation == isPlain {
		return never // who uses the Conn sees to it
	}
	silent, age, next := now.Sub(h.since), now.Sub(a.born), never
	if a.resumes && !h.alive && c.rtoken.Held() {
		if age >= c.cfg.FirstByteTimeout {
			c.cut(a, errNoByte)
			return 0
		}
		next = c.cfg.FirstByteTimeout - age
	}
	if ping := c.patience(); ping > 0 {
		switch {
		case silent >= c.cfg.SilenceTimeout:
			c.cut(a, errSilent)
			return 0
		case silent >= ping:
			c.owe(func(o *owed) { o.ping = true })
			next = min(next, ping, c.cfg.SilenceTimeout-silent)
		case idle:
			next = min(next, ping-silent)
		default:
			next = min(next, ping/4) // bytes are coming: a silence is seen so much too late
		}
	}
	if due := c.ages.due(age); due > 0 && c.dial != nil {
		if age >= due {
			if !c.renewing {
				c.ages.renewed()
				c.renew()
			}
		} else {
			next = min(next, due-age)
		}
	}
	return next
}

// patience returns how long a silent peer is left alone, 0 or less for ever. A
// server has an eighth more, so that as a rule the client's pings do for both: with
// as much at both ends, both would ask at the same time, again and again.
func (c *Conn) patience() time.Duration {
	ping := c.cfg.PingInterval
	if c.dial != nil || ping <= 0 {
		return ping
	}
	return min(ping+ping/8, (ping+c.cfg.SilenceTimeout)/2)
}
