package resume

import (
	"errors"
	"time"
)

// closeTimeout bounds how long a carrier may take for its last words.
const closeTimeout = 250 * time.Millisecond

// Close ends the stream: blocked calls of Read and Write return net.ErrClosed,
// and the peer reads io.EOF after what was written. It returns at once. What is
// not acknowledged yet stays until it is, on further carriers if need be, but no
// longer than Config.Window: see Done, and Abort.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.isClosed {
		c.mu.Unlock()
		return nil
	}
	c.isClosed = true
	c.closed.Close()
	c.steerLocked()
	c.room.Ring()
	switch {
	case c.isOver() || c.last.Load() == nil:
		c.finish()
	default:
		c.owe(func(o *owed) { o.end = true })
		c.own(c.drain)
	}
	c.mu.Unlock()
	c.rdeadline.Set(time.Time{})
	c.wdeadline.Set(time.Time{})
	c.freeWriter()
	return nil
}

// drain reads after Close, for the acknowledgements that still come.
func (c *Conn) drain() {
	if !c.rtoken.Want() {
		<-c.rtoken.Next()
	}
	defer c.rtoken.Release()
	c.mu.Lock()
	c.ahead = nil
	c.setMode(readsAfterClose)
	c.mu.Unlock()
	for buf := make([]byte, 512); ; {
		if _, err := c.read(buf); err != nil {
			return
		}
	}
}

// Abort is Close without any wait for the peer: what was not acknowledged is
// lost. It waits for the goroutines of the Conn. The peer, unless it was told
// before, finds that its next request to resume is refused.
func (c *Conn) Abort() {
	_ = c.Close()
	c.mu.Lock()
	c.finish()
	a := c.last.Load()
	c.mu.Unlock()
	if a != nil {
		abort(a.carrier)
	}
	c.owned.Wait()
}

// shutdownTimeout is how long Shutdown gives the peer to learn of the end.
const shutdownTimeout = 250 * time.Millisecond

// Shutdown is Close, and after 250 ms Abort: the peer is told if it can be.
func (c *Conn) Shutdown() {
	_ = c.Close()
	timer := time.NewTimer(shutdownTimeout)
	defer timer.Stop()
	select {
	case <-c.done.Done():
	case <-timer.C:
	}
	c.Abort()
}

// finish ends all that goes on: nothing is left to be done but to send the
// texts that are owed. mu is held.
func (c *Conn) finish() {
	if c.finished {
		return
	}
	c.finished = true
	if c.confirmation != isConfirmed {
		c.owed = owed{}
		c.unmute()
	}
	c.out.discard()
	c.steerLocked()
	c.room.Ring()
	c.beat.stop()
	if c.ackTimer != nil {
		c.ackTimer.Stop()
	}
	if c.redials != nil {
		c.redials()
	}
	if c.keeper != nil {
		c.keeper.finished()
	}
	c.endLeaving()
	if a := c.cur.Load(); a != nil {
		time.AfterFunc(closeTimeout, func() { abort(a.carrier) })
	}
	if !c.texting {
		c.texting = true
		c.own(c.sendTexts)
	}
}

// closeCarrier closes the carrier of a stream that has ended.
func (c *Conn) closeCarrier(carrier Carrier) {
	c.mu.Lock()
	err := c.over
	c.mu.Unlock()
	var violation *ProtocolError
	if cc, ok := carrier.(codeCloser); ok && errors.As(err, &violation) {
		_ = cc.CloseWith(closeViolation, violation.Error())
		return
	}
	_ = carrier.Close()
}

// closeViolation is the code of RFC 6455, Section 7.4.1, for a message that
// violates the receiver's policy.
const closeViolation = 1008
