package wsconn

import (
	"errors"
	"math/rand/v2"
	"net"

	"github.com/gobwas/ws"
)

// writevFrom is the payload size from which a server gives header and payload
// to the kernel in one writev instead of copying them together.
const writevFrom = 4 << 10

// maskPiece is how much is copied and masked at a time.
const maskPiece = 8 << 10

// Write sends p as binary messages of at most Config.MaxFrame bytes, one write
// to the connection beneath for each. It neither changes nor keeps p. The
// payload of concurrent Writes does not mix.
func (c *Conn) Write(p []byte) (int, error) {
	if c.isSmall(len(p)) {
		return c.writeSmall(nil, p)
	}
	n, err := c.writeMessage(ws.OpBinary, p, nil)
	return int(n), err
}

// WriteBuffers is Write for the concatenation of v, for a caller that would
// otherwise have to copy a header and a body together first. It does not
// consume v.
func (c *Conn) WriteBuffers(v net.Buffers) (int64, error) {
	switch len(v) {
	case 0:
		return 0, nil
	case 1:
		return c.writeMessage(ws.OpBinary, v[0], nil)
	case 2:
		return c.writeMessage(ws.OpBinary, v[0], v[1])
	}
	var joined []byte
	for _, b := range v {
		joined = append(joined, b...)
	}
	return c.writeMessage(ws.OpBinary, joined, nil)
}

// WriteText sends text, valid UTF-8, as one text message.
func (c *Conn) WriteText(text []byte) error {
	if len(text) > c.cfg.MaxFrame {
		return errors.New("wsconn: text message longer than Config.MaxFrame")
	}
	_, err := c.writeMessage(ws.OpText, text, nil)
	return err
}

// WriteAfterText is WriteText of text and then Write of p, at once: where p is
// small and there is no write deadline, as one write to the connection beneath.
// It returns how much of p was written.
func (c *Conn) WriteAfterText(text, p []byte) (int, error) {
	if !c.isSmall(len(text)+ws.MaxHeaderSize+len(p)) || len(p) == 0 {
		if err := c.WriteText(text); err != nil {
			return 0, err
		}
		return c.Write(p)
	}
	return c.writeSmall(text, p)
}

// isSmall reports whether n bytes, and at least one, fit into one frame and a
// small buffer, and there is nothing special to look after.
func (c *Conn) isSmall(n int) bool {
	return 0 < n && n <= min(smallFrame, c.cfg.MaxFrame) && c.state.Load() == 0
}

// writeSmall sends text, if it is not nil, and p at once.
func (c *Conn) writeSmall(text, p []byte) (int, error) {
	plain, err := c.takeToken()
	switch {
	case err != nil:
		return 0, err
	case !plain:
		return c.writeBoth(text, p)
	}
	f := getBuf(len(p))
	if text != nil {
		f.b = appendFrame(f.b, ws.OpText, c.client, text, nil)
	}
	f.b = appendFrame(f.b, ws.OpBinary, c.client, p, nil)
	kept, accepted, err := c.writeBuilt(f)
	if kept {
		c.wtoken.Release()
	}
	if !accepted {
		return 0, err
	}
	return len(p), err
}

// writeBoth is writeSmall for a caller that has the token and must look after
// what the state says.
func (c *Conn) writeBoth(text, p []byte) (int, error) {
	if text != nil {
		switch kept, _, err := c.writeFrame(ws.OpText, text, nil); {
		case !kept:
			return 0, err
		case err != nil:
			c.wtoken.Release()
			return 0, err
		}
	}
	n, err := c.writeFrames(ws.OpBinary, p, nil)
	return int(n), err
}

// writeMessage sends the concatenation of head and body in frames.
func (c *Conn) writeMessage(op ws.OpCode, head, body []byte) (n int64, err error) {
	if _, err := c.takeToken(); err != nil {
		return 0, err
	}
	return c.writeFrames(op, head, body)
}

// writeFrames is writeMessage for a caller that has the token, which it gives
// back.
func (c *Conn) writeFrames(op ws.OpCode, head, body []byte) (n int64, err error) {
	if len(head)+len(body) == 0 && op == ws.OpBinary {
		c.wtoken.Release()
		return 0, nil
	}
	for {
		h, b := head[:min(len(head), c.cfg.MaxFrame)], body
		b = b[:min(len(b), c.cfg.MaxFrame-len(h))]
		kept, accepted, err := c.writeFrame(op, h, b)
		if accepted {
			n += int64(len(h) + len(b))
		}
		if !kept {
			return n, err
		}
		head, body = head[len(h):], body[len(b):]
		if err != nil || len(head)+len(body) == 0 {
			c.wtoken.Release()
			return n, err
		}
	}
}

// writeFrame sends one frame. accepted reports that its payload is, or will
// be, on its way; kept that the caller still has the token.
func (c *Conn) writeFrame(op ws.OpCode, head, body []byte) (kept, accepted bool, err error) {
	size := len(head) + len(body)
	vec := c.writev && size >= writevFrom && c.state.Load()&isWriteLimited == 0
	var f *frameBuf
	if vec {
		f = getBuf(0) // for the header
	} else {
		f = getBuf(size)
	}
	var detach bool
	if f.b, detach = c.beginWrite(f.b); vec && !detach {
		return c.writeVec(f, op, head, body)
	}
	f.b = appendFrame(f.b, op, c.client, head, body)
	if detach {
		if !c.own() {
			putBuf(f)
			return true, false, net.ErrClosed
		}
		return c.writeDetached(f, f.b)
	}
	return c.writeBuilt(f)
}

// writeBuilt sends what was built in f, which it gives back. It returns what
// writeFrame does.
func (c *Conn) writeBuilt(f *frameBuf) (kept, accepted bool, err error) {
	m, err := c.sock.Write(f.b)
	if c.endWrite(err) {
		return c.writeDetached(f, f.b[m:])
	}
	putBuf(f)
	return true, err == nil, c.writeError(err)
}

// writeVec sends one frame of a server without copying its payload.
func (c *Conn) writeVec(f *frameBuf, op ws.OpCode, head, body []byte) (kept, accepted bool, err error) {
	size := len(head) + len(body)
	f.b = appendHeader(f.b, op, size, false, [4]byte{})
	f.b = append(f.b, head[:min(len(head), 64)]...)
	f.vecs = append(f.vec[:0], f.b)
	if rest := head[min(len(head), 64):]; len(rest) > 0 {
		f.vecs = append(f.vecs, rest)
	}
	if len(body) > 0 {
		f.vecs = append(f.vecs, body)
	}
	_, err = f.vecs.WriteTo(c.conn)
	if c.endWrite(err) {
		rest := getBuf(size)
		for _, b := range f.vecs {
			rest.b = append(rest.b, b...)
		}
		putBuf(f)
		return c.writeDetached(rest, rest.b)
	}
	putBuf(f)
	return true, err == nil, c.writeError(err)
}

// beginWrite prepares for a write to the connection beneath. It appends the
// control frames that are owed to b, and reports whether a deadline is set: the
// write then runs on a goroutine of its own, which can be left behind, since a
// write that the connection beneath interrupts itself is not always one that
// can be continued.
func (c *Conn) beginWrite(b []byte) (_ []byte, detach bool) {
	if c.state.Load() == 0 {
		return b, false
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.resume()
	for c.state.Load()&isOwing != 0 {
		op, payload := c.takeOwed()
		b = appendFrame(b, op, c.client, payload, nil)
	}
	c.steady = c.state.Load()&isWriteLimited != 0
	return b, c.steady
}

// resume takes back the deadline with which SetWriteDeadline interrupted a
// Write, perhaps one that had ended; wmu is held.
func (c *Conn) resume() (interrupted bool) {
	if c.state.Load()&isInterrupted == 0 || c.closing {
		return false
	}
	c.state.And(^uint32(isInterrupted))
	_ = c.conn.SetWriteDeadline(noDeadline)
	return true
}

// endWrite ends what beginWrite began. It reports whether err says that
// SetWriteDeadline interrupted the frame, so that the rest of it is to follow;
// Close then waits for that already, lest its own frame lands in this one.
func (c *Conn) endWrite(err error) (interrupted bool) {
	return c.state.Load()&isInterrupted != 0 && c.endInterrupted(err)
}

// endInterrupted is endWrite when SetWriteDeadline has interrupted something.
func (c *Conn) endInterrupted(err error) bool {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if !c.resume() || err == nil || !isTimeout(err) {
		return false
	}
	c.owned.Add(1)
	c.steady = true
	return true
}

// endSteady allows SetWriteDeadline to interrupt the next write.
func (c *Conn) endSteady() {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.steady = false
}

// writeDetached writes b, a frame or the rest of one, from a goroutine that
// owns f and that Close waits for as by own, and waits for it until the write
// deadline passes. If the goroutine is left behind, it returns the token itself.
func (c *Conn) writeDetached(f *frameBuf, b []byte) (kept, accepted bool, err error) {
	done, left := make(chan error), make(chan struct{})
	go func() {
		defer c.owned.Done()
		_, err := c.sock.Write(b)
		err = c.writeError(err)
		c.endSteady()
		putBuf(f)
		select {
		case done <- err:
		case <-left:
			c.wtoken.Release()
		}
	}()
	select {
	case err := <-done:
		return true, err == nil, err
	case <-c.wdeadline.Done():
		close(left)
		return false, true, c.deadlineError()
	case <-c.closed.Done():
		close(left)
		return false, false, net.ErrClosed
	}
}

// writeError makes an error of the connection beneath final.
func (c *Conn) writeError(err error) error {
	if err == nil {
		return nil
	}
	return c.finalError(err)
}

func (c *Conn) finalError(err error) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closing {
		err = net.ErrClosed
	}
	c.failWrite(err)
	return c.werr
}

// failWrite makes err what every further Write returns, unless there is such
// an error; wmu is held.
func (c *Conn) failWrite(err error) {
	if c.werr == nil {
		c.werr = err
		c.state.Or(isWriteFailed)
	}
}

// appendFrame appends a whole frame to b; a client's is masked.
func appendFrame(b []byte, op ws.OpCode, client bool, head, body []byte) []byte {
	var mask [4]byte
	if client {
		mask = newMask()
	}
	b = appendHeader(b, op, len(head)+len(body), client, mask)
	at := len(b)
	b = append(b, head...)
	if !client {
		return append(b, body...)
	}
	pos := 0
	for { // in pieces that stay in the processor's first cache
		piece := body[:min(len(body), maskPiece)]
		b = append(b, piece...)
		xor(b[at:], mask, pos)
		if body = body[len(piece):]; len(body) == 0 {
			return b
		}
		pos = (pos + len(b) - at) & 3
		at = len(b)
	}
}

// newMask returns the key for a client's frame, from a cryptographically strong
// source (RFC 6455, Section 5.3): the runtime's ChaCha8.
func newMask() [4]byte {
	key := rand.Uint32()
	return [4]byte{byte(key), byte(key >> 8), byte(key >> 16), byte(key >> 24)}
}
