package resume

import "time"

// How long a server keeps a stream that has no carrier, if that is less than
// Config.Window.
const (
	tightWindow  = 10 * time.Second // when more than half of the memory for replay is in use
	unusedWindow = 3 * time.Second  // if next to nothing came on it: see isUnused
	endingWindow = 5 * time.Second  // after Sessions.End
)

// A stream was used if that much came on it, more than a ping and the opening of a
// stream of mux, or that much was acknowledged, more than the server says by
// itself. Losing another one costs nobody anything.
const (
	usedBytes = 25
	usedAcked = 512
)

// keeper is what a server's Conn tells of its state. Its methods are called with
// Conn.mu held, finished once.
type keeper interface {
	detached() (limit time.Duration) // the Conn lost its carrier; how long it is kept without, 0 if that is up to Config.Window
	attached()                       // it has a carrier again
	finished()
	denied()        // the client has no session
	isEnding() bool // Sessions.End was called
}

// isUnused reports whether nothing of use came on the stream; mu is held.
func (c *Conn) isUnused() bool { return c.in.Load() < usedBytes && c.out.start < usedAcked }

// window returns how long the stream may be without a carrier; mu is held.
func (c *Conn) window() time.Duration {
	w := c.cfg.Window
	if c.dial != nil {
		return w
	}
	if c.out.budget.isTight() {
		w = min(w, tightWindow)
	}
	if c.keeper == nil {
		return w
	}
	if c.isUnused() {
		w = min(w, unusedWindow)
	}
	if c.keeper.isEnding() {
		w = min(w, endingWindow)
	}
	if c.limit != 0 {
		w = min(w, c.limit)
	}
	return w
}

// endSoon sees that the stream ends within endingWindow if it has no carrier.
func (c *Conn) endSoon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur.Load() == nil && c.last.Load() != nil && !c.finished {
		c.beat.reset(c, max(0, min(endingWindow, c.cfg.Window-time.Since(c.cutAt))))
	}
}

// evict ends the stream if it has no carrier, and reports whether it did.
func (c *Conn) evict() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur.Load() != nil || c.over != nil || c.finished {
		return false
	}
	c.fail(&LostError{Cut: c.cutBy, Cause: errEvicted, After: time.Since(c.cutAt)})
	return true
}
