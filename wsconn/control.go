package wsconn

import (
	"encoding/binary"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"culvert/internal/toll"
)

// onControl handles a control frame that Read met (RFC 6455, Section 5.5). It
// never blocks: answers leave from a goroutine of their own.
func (c *Conn) onControl(op ws.OpCode, payload []byte) error {
	if !c.rate.take(time.Since(c.born), c.cfg.ControlBurst, c.cfg.ControlInterval) {
		return &ProtocolError{ClosePolicyViolation, "control frames too fast"}
	}
	switch op {
	case ws.OpPing:
		pong := append(make([]byte, 0, len(payload)), payload...)
		c.queueControl(func() { c.pong = pong; c.state.Or(isOwing) })
		return nil
	case ws.OpClose:
		return c.onClose(payload)
	default:
		return nil // a PONG: any byte counts as a sign of life
	}
}

// onClose answers the peer's Close frame and returns what Read is to return.
func (c *Conn) onClose(payload []byte) error {
	code := uint16(CloseNoStatus)
	switch {
	case len(payload) == 1:
		return &ProtocolError{CloseProtocolError, "Close frame with half a code"}
	case len(payload) >= 2:
		if code = binary.BigEndian.Uint16(payload); !mayBeSent(code) {
			return &ProtocolError{CloseProtocolError, "close code that must not be sent"}
		}
	}
	reason := ""
	if len(payload) > 2 {
		if reason = string(payload[2:]); !utf8.ValidString(reason) {
			return &ProtocolError{CloseProtocolError, "close reason is not UTF-8"}
		}
	}
	c.sayBye(payload[:min(2, len(payload))], errPeerClosed)
	switch code {
	case CloseNormal, CloseGoingAway, CloseNoStatus:
		return io.EOF
	default:
		return &CloseError{Code: code, Reason: reason}
	}
}

// mayBeSent reports whether code may stand in a Close frame (RFC 6455, Section
// 7.4, and the codes registered since).
func mayBeSent(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code != 1004 && code != CloseNoStatus && code != 1006
	default:
		return false
	}
}

// textRate is how fast text messages may come. Whoever reads waits for that.
//
//nolint:gochecknoglobals // never changed
var textRate = toll.Rate{Burst: 4096, Every: 50 * time.Microsecond}

// onText handles a text message that Read met.
func (c *Conn) onText(text []byte) error {
	if c.cfg.OnText == nil {
		return &ProtocolError{CloseUnsupportedData, "text message where only binary ones are expected"}
	}
	c.texts.Pass(1, textRate, &c.closed)
	c.cfg.OnText(text)
	return nil
}

// frameRate is how fast data frames may come that bring next to nothing, in the
// units that they cost: 10,000 empty or a million tiny ones a second.
//
//nolint:gochecknoglobals // never changed
var frameRate = toll.Rate{Burst: 1024 * costEmpty, Every: time.Second / (10_000 * costEmpty)}

// payFrames has Read wait for what such frames cost.
func (c *Conn) payFrames() {
	n := c.dec.idle
	c.dec.idle = 0
	c.frames.Pass(int(n), frameRate, &c.closed)
}

// refuse tells the peer why the connection ends, if err is its fault.
func (c *Conn) refuse(err error) error {
	if p, ok := err.(*ProtocolError); ok { //nolint:errorlint // made by this package, never wrapped
		c.sayBye(closePayload(p.Code, p.Reason), p)
	}
	return err
}

// sayBye queues a Close frame, after which every Write returns werr.
func (c *Conn) sayBye(payload []byte, werr error) {
	c.queueControl(func() {
		c.bye = append([]byte{}, payload...)
		c.failWrite(werr)
	})
}

// closePayload returns the payload of a Close frame.
func closePayload(code uint16, reason string) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	return append(b, clip(reason, ws.MaxControlFramePayloadSize-2-len("..."))...)
}

// queueControl lets set change what is owed, and sees that it is sent.
func (c *Conn) queueControl(set func()) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closing {
		return
	}
	set()
	if !c.controlling {
		c.controlling = true
		c.owned.Add(1)
		go c.sendControls()
	}
}

// sendControls sends the control frames that are owed, one at a time as
// writers leave room, and ends when none is left.
func (c *Conn) sendControls() {
	defer c.owned.Done()
	for {
		if !c.wtoken.Want() {
			select {
			case <-c.wtoken.Next():
			case <-c.closed.Done():
				c.wtoken.Leave()
				return
			}
		}
		op, payload, ok := c.nextControl()
		if ok {
			_, err := c.conn.Write(appendFrame(nil, op, c.client, payload, nil))
			_ = c.writeError(err)
			c.endSteady()
		}
		c.wtoken.Release()
		if !ok {
			return
		}
	}
}

// nextControl takes the next control frame that is owed.
func (c *Conn) nextControl() (op ws.OpCode, payload []byte, ok bool) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.resume()
	switch {
	case c.saidBye || c.closing:
	case c.state.Load()&isOwing != 0:
		c.steady = true
		op, payload = c.takeOwed()
		return op, payload, true
	case c.bye != nil:
		c.saidBye, c.steady = true, true
		return ws.OpClose, c.bye, true
	}
	c.controlling = false
	return 0, nil, false
}

// takeOwed takes a PONG or PING that is owed; wmu is held.
func (c *Conn) takeOwed() (op ws.OpCode, payload []byte) {
	op = ws.OpPing
	if c.pong != nil {
		op, payload, c.pong = ws.OpPong, c.pong, nil
	} else {
		c.ping = false
	}
	if !c.ping {
		c.state.And(^uint32(isOwing))
	}
	return op, payload
}

// tokenBucket limits the rate of what a peer sends unasked. The zero value is
// full.
type tokenBucket struct {
	used int64
	from time.Duration // when used was last reduced
}

// take takes one token at time now and reports whether there was one. The bucket
// holds burst tokens and gets one back at every interval.
func (t *tokenBucket) take(now time.Duration, burst int, every time.Duration) bool {
	if back := int64((now - t.from) / every); back > 0 {
		t.used = max(0, t.used-back)
		t.from += time.Duration(back) * every
	}
	t.used++
	return t.used <= int64(burst)
}
