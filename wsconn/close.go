package wsconn

import (
	"net"
	"time"

	"github.com/gobwas/ws"
)

// Times for SetDeadline: none, and one that has passed.
var (
	noDeadline time.Time
	longAgo    = time.Unix(1, 0)
)

// Close sends a Close frame with code 1000 and closes the connection beneath.
// It does not wait for the peer's answer. Blocked calls of Read and Write
// return net.ErrClosed; a Write in flight has Config.CloseTimeout to finish. It
// returns nil: that a peer which is gone was not told is no news to the caller.
// Calls beside the first wait for it.
func (c *Conn) Close() error { return c.CloseWith(CloseNormal, "") }

// CloseWith is Close with a code of RFC 6455, Section 7.4 and a reason of at
// most 123 bytes. A code that must not be sent becomes 1000.
func (c *Conn) CloseWith(code uint16, reason string) error {
	if !mayBeSent(code) {
		code = CloseNormal
	}
	c.wmu.Lock()
	if c.closing {
		c.wmu.Unlock()
		c.closes.Wait()
		return nil
	}
	c.closing = true
	c.state.Or(isClosed)
	bye := closePayload(code, reason)
	if c.bye != nil {
		bye = c.bye
	}
	c.wmu.Unlock()

	c.closed.Close()
	if c.beat.timer != nil {
		c.beat.timer.Stop()
	}
	_ = c.conn.SetReadDeadline(longAgo)
	if !c.lastFrame(bye) {
		closeBelow(c.conn)
	}
	_ = c.conn.Close()
	c.wdeadline.Set(noDeadline) // stops its timer
	c.owned.Wait()
	c.closes.Done()
	return nil
}

// Abort closes the connection at once, without a Close frame: blocked calls of
// Read and Write return an error soon. A Close that waits for its frame to leave
// is cut short.
func (c *Conn) Abort() {
	c.wmu.Lock()
	first := !c.closing
	c.closing = true
	c.state.Or(isClosed)
	c.wmu.Unlock()
	if first {
		c.closed.Close()
		if c.beat.timer != nil {
			c.beat.timer.Stop()
		}
	}
	closeBelow(c.conn)
	_ = c.conn.Close()
	if first {
		c.wdeadline.Set(noDeadline)
		go func() { // ends at once, unless the connection beneath ignores its Close
			c.owned.Wait()
			c.closes.Done()
		}()
	}
}

// lastFrame sends a Close frame if the connection can still take one soon, and
// reports whether it can.
func (c *Conn) lastFrame(payload []byte) bool {
	if !c.wtoken.Want() { // never given back: nothing may follow a Close frame
		timer := time.NewTimer(c.cfg.CloseTimeout)
		defer timer.Stop()
		select {
		case <-c.wtoken.Next():
		case <-timer.C:
			c.wtoken.Leave()
			return false
		}
	}
	c.wmu.Lock()
	failed := c.werr != nil && c.bye == nil
	said := c.saidBye
	c.wmu.Unlock()
	if failed || said {
		return !failed
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.cfg.CloseTimeout))
	_, err := c.conn.Write(appendFrame(nil, ws.OpClose, c.client, payload, nil))
	return err == nil
}

// closeBelow closes what a TLS connection runs on, since tls.Conn.Close waits
// up to 5 s for a peer that takes no more bytes.
func closeBelow(c net.Conn) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		_ = t.NetConn().Close()
	}
}

// own registers a goroutine that Close is to wait for, unless Close was called.
func (c *Conn) own() bool {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closing {
		return false
	}
	c.owned.Add(1)
	return true
}

var _ net.Conn = (*Conn)(nil)
