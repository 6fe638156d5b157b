package resume

import (
	"errors"
	"net"
	"os"
	"time"

	"culvert/internal/deadline"
	"culvert/internal/token"
)

// Read implements net.Conn. It waits while the stream is without a carrier. It
// returns io.EOF once the peer has closed and everything was read, and a
// *LostError or a *ProtocolError if the stream ended otherwise.
func (c *Conn) Read(p []byte) (int, error) {
	b, err := c.ReadBuffer(p)
	return copy(p, b), err
}

// ReadBuffer is Read without its last copy: it uses p, and returns the part of
// p that holds what was read.
func (c *Conn) ReadBuffer(p []byte) ([]byte, error) {
	if !c.rtoken.Want() {
		if err := c.takeReader(); err != nil {
			return nil, err
		}
	}
	if len(p) == 0 || c.state.Load()&isAhead != 0 {
		return c.endRead(c.readAside(p))
	}
	for { // as read does; it waits, perhaps for long, and what is on the stack is kept small
		a := c.cur.Load()
		if a == nil || c.state.Load()&isStopping != 0 {
			var err error
			if a, err = c.carrierToRead(); err != nil {
				return c.endRead(nil, err)
			}
		}
		b, err := a.reader.ReadBuffer(p)
		if b = a.took(b, err); len(b) > 0 {
			return c.endRead(b, nil)
		}
	}
}

// endRead counts what Read returns, and gives back the right to read.
func (c *Conn) endRead(b []byte, err error) ([]byte, error) {
	if len(b) > 0 {
		c.received(uint64(len(b)))
	}
	c.releaseReader()
	return b, err
}

// readAside is read for who asks for nothing, or for what was read ahead.
func (c *Conn) readAside(p []byte) ([]byte, error) {
	if len(p) == 0 {
		return nil, c.Err()
	}
	if err := c.readError(); err != nil {
		return nil, err
	}
	return p[:c.takeAhead(p)], nil
}

// HeaderSize returns how many bytes come before the payload of a large incoming
// frame, if the carrier knows.
func (c *Conn) HeaderSize() int {
	if a := c.last.Load(); a != nil {
		return a.reader.HeaderSize()
	}
	return 0
}

// take takes t.
func (c *Conn) take(t *token.Token, d *deadline.Deadline) error {
	if t.Want() {
		return nil
	}
	return c.await(t, d)
}

// await waits for t, which the caller wants.
func (c *Conn) await(t *token.Token, d *deadline.Deadline) error {
	select {
	case <-t.Next():
		return nil
	case <-c.closed.Done():
		t.Leave()
		return net.ErrClosed
	case <-d.Done():
		t.Leave()
		return os.ErrDeadlineExceeded
	}
}

// read reads from one carrier after the other. The caller has the token.
func (c *Conn) read(p []byte) ([]byte, error) {
	for {
		a, err := c.carrierToRead()
		if err != nil {
			return nil, err
		}
		b, err := a.reader.ReadBuffer(p)
		if b = a.took(b, err); len(b) > 0 {
			return b, nil
		}
	}
}

// carrierToRead returns the present carrier, or why Read has to return. It waits
// for one of them.
func (c *Conn) carrierToRead() (*Attachment, error) {
	for {
		if c.state.Load()&isStopping != 0 {
			if err := c.readError(); err != nil {
				return nil, err
			}
		}
		if a := c.cur.Load(); a != nil {
			return a, nil
		}
		c.awaitCarrier()
	}
}

// took looks after what was read on the carrier before err. It returns what is
// new of it.
func (a *Attachment) took(b []byte, err error) []byte {
	if err == nil && !a.behind.Load() {
		return b
	}
	b = a.skipDuplicate(b)
	if err != nil {
		a.conn.readFailed(a, err)
	}
	return b
}

// awaitCarrier waits until there may be a carrier, or a reason to return.
func (c *Conn) awaitCarrier() {
	c.mu.Lock()
	if c.cur.Load() != nil || c.readErrorLocked() != nil {
		c.mu.Unlock()
		return
	}
	readable := c.readable.Line()
	c.mu.Unlock()
	<-readable
}

// readFailed takes the error of a carrier: if it is a timeout, there is perhaps
// no reason for it any more.
func (c *Conn) readFailed(a *Attachment, err error) {
	if isTimeout(err) {
		c.steer()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dial == nil && c.cur.Load() == a && isViolation(err) {
		c.fail(&ProtocolError{err.Error()}) // such a client gets no second chance
		return
	}
	c.cut(a, err)
}

// isViolation reports whether err says that the peer broke the carrier's
// protocol.
func isViolation(err error) bool {
	var v interface{ IsViolation() bool }
	return errors.As(err, &v) && v.IsViolation()
}

// skipDuplicate drops what was received on the carrier before, after the peer
// was told from where to begin. It is called by the reader.
func (a *Attachment) skipDuplicate(b []byte) []byte {
	if !a.behind.Load() {
		return b
	}
	if !a.reading {
		a.reading = true
		a.conn.mu.Lock()
		a.skip = a.conn.total() - a.offset
		a.conn.mu.Unlock()
	}
	n := min(uint64(len(b)), a.skip)
	if a.skip -= n; a.skip == 0 {
		a.behind.Store(false)
		a.conn.mu.Lock()
		a.conn.armAck()
		a.conn.mu.Unlock()
	}
	return b[n:]
}

// received counts n bytes and sees that they are acknowledged in time.
func (c *Conn) received(n uint64) {
	in := c.in.Add(n)
	due := in-c.told.Load() >= uint64(c.cfg.Buffer)/8
	if due || !c.ackArmed.Load() || c.state.Load()&(isStopping|isDoubtful|isAsked) != 0 {
		c.acknowledgeSoon(in, due)
	}
}

// acknowledgeSoon sees that all that was received, in bytes, is acknowledged: at
// once if that is due.
func (c *Conn) acknowledgeSoon(in uint64, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deny()
	switch {
	case c.confirmation == isPlain:
		c.told.Store(in)
	case c.peerEnd && in >= c.peerSent, (due || c.state.Load()&isAsked != 0) && !c.isHeld():
		c.setState(isAsked, false)
		c.owe(func(o *owed) { o.ack = true })
	case !c.ackArmed.Load():
		c.armAck()
	}
}

// fewBytes are so few that it does not matter how long the peer has to keep
// them: a frame for each small message, in both directions, and a timer for it,
// would cost more. They wait for so many times Config.AckDelay, and as long
// again for something to ride with.
const (
	fewBytes = 4 << 10
	fewTimes = 8
)

// armAck has an acknowledgement sent after Config.AckDelay, or for few bytes as
// fewTimes says. mu is held.
func (c *Conn) armAck() {
	c.ackArmed.Store(true)
	delay := c.cfg.AckDelay
	if c.in.Load()-c.told.Load() < fewBytes {
		delay *= fewTimes
	}
	if c.ackTimer == nil {
		c.ackTimer = time.AfterFunc(delay, c.onAckTimer)
	} else {
		c.ackTimer.Reset(delay)
	}
}

func (c *Conn) onAckTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ackArmed.Store(false)
	few := c.in.Load()-c.told.Load() < fewBytes
	switch {
	case c.told.Load() == c.in.Load() || c.isHeld() || c.finished:
	case few && !c.rides:
		c.rides = true
		c.armAck()
	default:
		c.rides = false
		c.owe(func(o *owed) { o.ack = true })
	}
}

// steer interrupts the reader if it has a reason to return, and else lets it
// wait.
func (c *Conn) steer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steerLocked()
}

func (c *Conn) steerLocked() {
	var interrupt time.Time
	if c.readErrorLocked() != nil {
		interrupt = longAgo
	}
	c.setState(isStopping, interrupt == longAgo || c.peerEnd)
	c.setState(isAhead, len(c.ahead) > 0)
	if a := c.cur.Load(); a != nil {
		_ = a.carrier.SetReadDeadline(interrupt)
	}
	c.readable.Ring()
}

// setState sets or clears a bit of state.
func (c *Conn) setState(bit uint32, on bool) {
	if on {
		c.state.Or(bit)
	} else {
		c.state.And(^bit)
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// readError returns why Read has to return, nil if it does not.
func (c *Conn) readError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readErrorLocked()
}

// isTimeout reports whether err is of a deadline.
func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
