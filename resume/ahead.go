package resume

import (
	"errors"
	"io"
	"net"
	"os"
)

// Acknowledgements come among the bytes, so somebody has to read for a Write to
// go on. If nobody does, a goroutine reads ahead while a Write waits. What it
// puts aside is not acknowledged, and so bounded by the peer's own buffer.

// Who reads.
type readerMode uint8

const (
	readsForCaller readerMode = iota
	readsAhead
	readsAfterClose
)

// errYield ends reading ahead when somebody calls Read.
var errYield = errors.New("resume: somebody reads")

// beginAhead starts to read ahead if nobody reads; mu is held.
func (c *Conn) beginAhead() {
	if c.wantsAhead() && !c.isClosed && c.rtoken.Try() {
		c.own(c.readAhead)
	}
}

// wantsAhead reports whether a Write waits and there is room; mu is held.
func (c *Conn) wantsAhead() bool {
	return c.state.Load()&isWaiting != 0 && len(c.ahead) < c.cfg.Buffer
}

// readAhead reads until nobody waits in Write, or somebody does in Read.
func (c *Conn) readAhead() {
	c.mu.Lock()
	c.setMode(readsAhead)
	for c.wantsAhead() && !c.wanted {
		c.mu.Unlock()
		b, err := c.read(make([]byte, 4<<10))
		c.mu.Lock()
		c.ahead = append(c.ahead, b...)
		c.beat.heard()
		if len(b) > 0 {
			c.deny()
		}
		if err != nil {
			break
		}
	}
	c.setMode(readsForCaller)
	c.mu.Unlock()
	c.rtoken.Release()
}

// setMode says who reads from now on; mu is held.
func (c *Conn) setMode(m readerMode) {
	c.mode = m
	c.steerLocked()
}

// takeReader waits for the right to read, which the caller wants, and takes it
// from who reads ahead.
func (c *Conn) takeReader() error {
	c.mu.Lock()
	c.wanted = true
	c.steerLocked()
	c.mu.Unlock()
	err := c.await(&c.rtoken, c.rdeadline)
	c.mu.Lock()
	c.wanted = false
	c.steerLocked()
	c.mu.Unlock()
	return err
}

// releaseReader gives it back.
func (c *Conn) releaseReader() {
	c.rtoken.Release()
	if c.state.Load()&isWaiting != 0 {
		c.replaceReader()
	}
}

// replaceReader has a goroutine read ahead, if need be.
func (c *Conn) replaceReader() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beginAhead()
}

// takeAhead moves what was read ahead to p.
func (c *Conn) takeAhead(p []byte) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = copy(p, c.ahead); n > 0 {
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		c.steerLocked()
	}
	return n
}

// total returns how many bytes have come; it is for the reader, mu is held.
func (c *Conn) total() uint64 { return c.in.Load() + uint64(len(c.ahead)) }

// readErrorLocked returns why who reads has to return, nil if it does not.
func (c *Conn) readErrorLocked() error {
	switch {
	case c.mode == readsAfterClose:
		if c.finished {
			return net.ErrClosed
		}
		return nil
	case c.isClosed:
		return net.ErrClosed
	case c.mode == readsAhead && c.wanted:
		return errYield
	case c.mode == readsForCaller && c.rdeadline.IsPast():
		return os.ErrDeadlineExceeded
	case c.peerEnd && c.total() >= c.peerSent && (c.mode == readsAhead || len(c.ahead) == 0):
		return io.EOF
	}
	return c.over
}
