package wsconn

import "github.com/gobwas/ws"

// MaxHeaderSize is how many bytes the header of a frame has at most.
const MaxHeaderSize = ws.MaxHeaderSize

// WriteFrame is Write for b from front on, without a copy: it needs the
// MaxHeaderSize bytes before that for the frame's header, and in the client's
// role it leaves the payload masked: XORed with mask, over and over from its
// first byte. b must stay as it is until WriteFrame returns.
func (c *Conn) WriteFrame(b []byte, front int) (mask [4]byte, err error) {
	if c.state.Load() != 0 || len(b)-front > c.cfg.MaxFrame || len(b) == front {
		_, err = c.writeMessage(ws.OpBinary, b[front:], nil)
		return mask, err
	}
	plain, err := c.takeToken()
	switch {
	case err != nil:
		return mask, err
	case !plain:
		_, err = c.writeFrames(ws.OpBinary, b[front:], nil)
		return mask, err
	}
	if c.client {
		mask = newMask()
		xor(b[front:], mask, 0)
	}
	var head [MaxHeaderSize]byte
	h := appendHeader(head[:0], ws.OpBinary, len(b)-front, c.client, mask)
	b = b[front-copy(b[front-len(h):], h):]
	m, err := c.sock.Write(b)
	if c.endWrite(err) {
		rest := getBuf(len(b))
		rest.b = append(rest.b, b[m:]...)
		var kept bool
		if kept, _, err = c.writeDetached(rest, rest.b); !kept {
			return mask, err
		}
	} else {
		err = c.writeError(err)
	}
	c.wtoken.Release()
	return mask, err
}
