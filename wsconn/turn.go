package wsconn

import (
	"net"
	"os"
)

// takeToken waits for the right to write a frame. It reports plain if the
// caller may write to sock at once: there is nothing to look after, and what
// SetWriteDeadline changes from here on interrupts that write. Otherwise the
// frame needs beginWrite.
func (c *Conn) takeToken() (plain bool, err error) {
	held := c.wtoken.Want()
	if held && c.state.Load() == 0 {
		return true, nil
	}
	return c.awaitToken(held)
}

// awaitToken is takeToken when there is something special to look after, or
// somebody else has the token.
func (c *Conn) awaitToken(held bool) (plain bool, err error) {
	if !held {
		select {
		case <-c.wtoken.Next():
		case <-c.closed.Done():
			c.wtoken.Leave()
			return false, net.ErrClosed
		case <-c.wdeadline.Done():
			c.wtoken.Leave()
			return false, c.deadlineError()
		}
	}
	if err := c.mayWrite(); err != nil {
		c.wtoken.Release()
		return false, err
	}
	return c.state.Load() == 0, nil // the deadline may have been set while this waited
}

// mayWrite returns what a Write ends with before it has begun.
func (c *Conn) mayWrite() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	switch {
	case c.closing:
		return net.ErrClosed
	case c.wdeadline.IsPast():
		return os.ErrDeadlineExceeded
	}
	return c.werr
}
