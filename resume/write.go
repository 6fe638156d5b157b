package resume

import (
	"net"
	"os"
	"time"
)

// Write implements net.Conn. It neither changes nor keeps p: what it returns
// has been copied, and arrives if the stream is resumed in time. It waits while
// Config.Buffer is full.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.take(&c.wtoken, c.wdeadline); err != nil {
		return 0, err
	}
	defer c.wtoken.Release()
	return c.write(p, nil)
}

// WriteBuffers is Write for the concatenation of v, for a caller that would
// otherwise have to copy a header and a body together first. It does not
// consume v. It is for one caller at a time, and not beside Write.
func (c *Conn) WriteBuffers(v net.Buffers) (n int64, err error) {
	for len(v) > 0 && err == nil {
		var m int
		if len(v) == 1 {
			m, err = c.write(v[0], nil)
			v = v[1:]
		} else {
			m, err = c.write(v[0], v[1])
			v = v[2:]
		}
		n += int64(m)
	}
	return n, err
}

// write is for one caller at a time.
func (c *Conn) write(head, body []byte) (n int, err error) {
	c.mu.Lock()
	for err = c.writeErrorLocked(); err == nil && len(head)+len(body) > 0; {
		blk, framed, size := c.out.reserve(len(head) + len(body))
		if size == 0 {
			err = c.awaitRoom()
			continue
		}
		if framed {
			err = c.putMuch(blk, size, head, body)
		} else {
			c.out.publish(blk, false, blk.put(false, size, head, body), size)
		}
		if err != nil {
			break
		}
		n += size
		k := min(size, len(head))
		head, body = head[k:], body[size-k:]
		c.send()
	}
	c.mu.Unlock()
	return n, err
}

// putMuch copies the first size bytes of head and body to blk and makes them part
// of the stream. Others may go on meanwhile.
func (c *Conn) putMuch(blk *block, size int, head, body []byte) error {
	c.mu.Unlock()
	from := blk.put(true, size, head, body)
	c.mu.Lock()
	if err := c.writeErrorLocked(); err != nil {
		c.out.unpin(blk)
		return err
	}
	c.out.publish(blk, true, from, size)
	return nil
}

// WriteReady returns nil if a Write of n bytes would not wait for the peer, and
// else a channel from which something is received when it may be asked again.
// It is for a caller that is the only one to write, and has more reasons than
// the Conn's own to stop waiting.
func (c *Conn) WriteReady(n int) <-chan struct{} {
	if n <= largeBlock && c.out.roomy.Load() && c.out.budget.has(largeBlock) {
		return nil
	}
	return c.awaitReady(n)
}

// awaitReady is WriteReady when there may not be room.
func (c *Conn) awaitReady(n int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writeErrorLocked() != nil || c.out.hasRoom(n) {
		return nil
	}
	c.askSoon()
	return c.room.Line()
}

// askDelay is how long a Write waits for acknowledgements before it asks.
const askDelay = 2 * time.Millisecond

// askSoon asks the peer what it has received, if no acknowledgement comes soon:
// it may have a larger Buffer, an eighth of which is more than all of ours. mu
// is held.
func (c *Conn) askSoon() {
	start := c.out.start
	time.AfterFunc(askDelay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.out.start == start && !c.finished {
			c.owe(func(o *owed) { o.ping = true })
		}
	})
}

// awaitRoom waits until a block may be had; mu is held.
func (c *Conn) awaitRoom() error {
	c.setState(isWaiting, true)
	c.beginAhead()
	c.askSoon()
	room := c.room.Line()
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.setState(isWaiting, false)
	}()
	select {
	case <-room:
		return nil
	case <-c.closed.Done():
		return net.ErrClosed
	case <-c.wdeadline.Done():
		return os.ErrDeadlineExceeded
	}
}

// send has what was written sent by the caller, or if it has a deadline by
// another goroutine; mu is held.
func (c *Conn) send() {
	switch {
	case c.flushing || c.cur.Load() == nil:
	case c.state.Load()&isWriteLimited != 0:
		c.flushing = true
		c.own(c.flushBehind)
	default:
		c.flushing = true
		c.writes++
		c.inline = c.writes
		c.flush()
		c.inline = 0
	}
}

// flush sends what is pending until nothing is left or the carrier is gone. mu
// is held, but not while something is being sent; flushing is set.
func (c *Conn) flush() {
	var p piece
	for {
		a := c.cur.Load()
		if a == nil || c.out.next == c.out.end {
			c.flushing = false
			if c.isClosed && c.confirmation == isPlain {
				c.finish()
			}
			return
		}
		if c.inline > 0 && c.inline == c.freed {
			c.own(c.flushBehind)
			return
		}
		if c.greets {
			c.greet(a)
			continue
		}
		c.out.pending(&p)
		c.grow.onSend(&c.out)
		var text []byte
		if c.rides {
			text = c.rider(a, &p)
		}
		c.mu.Unlock()
		mask, err := a.send(&p, text)
		c.mu.Lock()
		if text != nil {
			c.rode()
		}
		c.out.sentAs(&p, mask)
		switch {
		case err != nil:
			c.cut(a, err)
		case c.confirmation == isPlain:
			c.forget()
		}
	}
}

// flushBehind is flush for a goroutine of its own.
func (c *Conn) flushBehind() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
}

// send sends text, if it is not nil, and p, and returns what p is masked with
// then.
func (a *Attachment) send(p *piece, text []byte) (mask [4]byte, err error) {
	b := p.blk.b[p.from : p.from+p.n]
	if p.mask != [4]byte{} {
		for i := range b {
			b[i] ^= p.mask[i&3]
		}
	}
	if p.framed && a.framer != nil {
		return a.framer.WriteFrame(p.blk.b[p.from-frontSize:p.from+p.n], frontSize)
	}
	if text != nil {
		_, err = a.joiner.WriteAfterText(text, b)
		return mask, err
	}
	_, err = a.carrier.Write(b)
	return mask, err
}

// writeGrace is how long a Write that the carrier holds up may stay after Close
// or its deadline, before the carrier is cut to free it.
const writeGrace = 50 * time.Millisecond

// freeWriter sees that a Write which sends by itself returns soon.
func (c *Conn) freeWriter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inline == 0 {
		return
	}
	writing := c.inline
	time.AfterFunc(writeGrace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.inline != writing {
			return
		}
		c.freed = writing
		if a := c.cur.Load(); a != nil {
			c.cut(a, errStuck)
		}
	})
}

// writeErrorLocked returns what a Write ends with before it has begun.
func (c *Conn) writeErrorLocked() error {
	if c.over == nil && !c.isClosed && !c.peerEnd && c.state.Load()&isWriteLimited == 0 {
		return nil
	}
	return c.whyNoWrite()
}

func (c *Conn) whyNoWrite() error {
	switch err := c.errLocked(); {
	case err != nil:
		return err
	case c.wdeadline.IsPast():
		return os.ErrDeadlineExceeded
	case c.peerEnd:
		return errPeerEnded
	}
	return nil
}
