package wsconn

import (
	"sync"
	"sync/atomic"
	"time"
)

// asked is how many reads after each look of the heartbeat note when they began.
const asked = 16

// heartbeat knows for how long a Read has waited. Reads only count themselves,
// since a clock costs more than all else that a short one does; but the first
// few after each look of the timer note when they began, so that the time is
// exact where there is little to read.
type heartbeat struct {
	timer *time.Timer   // nil if the Config wants no heartbeat; does not change
	reads atomic.Uint64 // how often a read of the connection beneath began or ended: odd while one goes on
	ask   atomic.Int32  // how many of them are to note when they begin

	mu    sync.Mutex
	read  uint64 // what reads was when it began that since is about
	since time.Time
}

// startBeat starts the timer, if the Config wants it.
func (c *Conn) startBeat() {
	if c.cfg.PingInterval <= 0 {
		return
	}
	c.wmu.Lock() // onBeat takes it before it looks at timer
	defer c.wmu.Unlock()
	c.beat.ask.Store(asked)
	c.beat.timer = time.AfterFunc(c.cfg.PingInterval, c.onBeat)
}

// begin notes that a read begins now.
func (h *heartbeat) begin() {
	n := h.reads.Add(1)
	if h.ask.Load() <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read, h.since = n, time.Now()
	h.ask.Add(-1)
}

// look returns for how long the read that is going on has waited, 0 if none is. If
// it began unasked after the last look, it counts from now, and known is false.
func (h *heartbeat) look() (silent time.Duration, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ask.Store(asked)
	switch n := h.reads.Load(); {
	case n%2 == 0: // nobody reads: it is not the peer's fault
		return 0, true
	case n != h.read:
		h.read, h.since = n, time.Now()
		return 0, false
	default:
		return time.Since(h.since), true
	}
}

// onBeat looks after a Read that is waiting: it sends a PING when nothing was
// heard for Config.PingInterval, and ends the connection when nothing was
// heard for Config.SilenceTimeout. Time in which nobody reads does not count.
func (c *Conn) onBeat() {
	next := c.cfg.PingInterval
	switch silent, known := c.beat.look(); {
	case silent >= c.cfg.SilenceTimeout:
		c.abandon()
		return
	case silent >= c.cfg.PingInterval:
		c.queueControl(func() { c.ping = true; c.state.Or(isOwing) })
		next = min(next, c.cfg.SilenceTimeout-silent)
	case known:
		next -= silent
	default:
		next /= 4 // bytes are coming: a silence is seen so much too late
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if !c.closing {
		c.beat.timer.Reset(next)
	}
}

// abandon ends a connection whose peer is gone: Read returns errSilent.
func (c *Conn) abandon() {
	c.wmu.Lock()
	c.failWrite(errSilent)
	c.wmu.Unlock()
	c.lost.Store(true)
	_ = c.conn.Close()
}
