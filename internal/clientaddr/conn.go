package clientaddr

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// phase is how far a conn is.
type phase = uint32

const (
	waiting phase = iota // for the head
	late                 // the head did not come in time
	begun                // the head was read, and more
	plain                // nothing but the socket has data
)

// conn is a connection that begins with a head. The proxyproto package has one
// too, but concurrent Reads race there, a deadline that passes before the head
// is final and not a timeout, and a head of version 1 in pieces is refused.
type conn struct {
	net.Conn

	phase atomic.Uint32
	timer *time.Timer // closes the connection if the head is late

	mu     sync.Mutex // held while the head is read
	buf    []byte     // of the head; later what came with it
	err    error      // of Read and Write, for good
	remote net.Addr   // once the head was read
}

func newConn(c net.Conn, timeout time.Duration) *conn {
	p := &conn{Conn: c}
	p.timer = time.AfterFunc(timeout, func() {
		if p.phase.CompareAndSwap(waiting, late) {
			_ = c.Close()
		}
	})
	return p
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if c.phase.Load() != plain {
		if n, err := c.readFirst(p); n > 0 || err != nil {
			return n, err
		}
	}
	return c.Conn.Read(p)
}

// readFirst reads what came with the head.
func (c *conn) readFirst(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.readHead(); err != nil {
		return 0, err
	}
	n := copy(p, c.buf)
	c.buf = c.buf[n:]
	if len(c.buf) == 0 {
		c.buf = nil
		c.phase.Store(plain)
	}
	return n, nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if c.phase.Load() < begun {
		c.mu.Lock()
		err := c.readHead()
		c.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// RemoteAddr returns the client's address. It waits for the head, and fails the
// connection if there is none: nobody is to be taken for the proxy.
func (c *conn) RemoteAddr() net.Addr {
	if c.phase.Load() >= begun {
		return c.remote
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = c.readHead(); c.err != nil {
		return c.Conn.RemoteAddr()
	}
	return c.remote
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.timer.Stop()
	return c.Conn.Close()
}

// Unwrap returns the socket once what came with the head was read, and the
// connection itself before.
func (c *conn) Unwrap() net.Conn {
	if c.phase.Load() == plain {
		return c.Conn
	}
	return c
}

// readHead reads the head if it was not yet. An error of the connection leaves
// what was read for another try. It is called with mu held.
func (c *conn) readHead() error {
	for c.err == nil && c.phase.Load() < begun {
		n, err := headLength(c.buf)
		if err != nil {
			c.err = c.headError(err)
			break
		}
		if n > 0 && n <= len(c.buf) {
			c.err = c.takeHead(n)
			break
		}
		c.buf = slices.Grow(c.buf, minRead)
		n, err = c.Conn.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+n]
		switch {
		case n > 0 || err == nil:
		case c.phase.Load() == late:
			return c.headError(os.ErrDeadlineExceeded)
		case errors.Is(err, io.EOF) && len(c.buf) > 0:
			return c.headError(io.ErrUnexpectedEOF)
		default:
			return err
		}
	}
	return c.err
}

// takeHead takes the head, which is n bytes long, off buf.
func (c *conn) takeHead(n int) error {
	a, err := parseHead(c.buf[:n])
	if err != nil {
		return c.headError(err)
	}
	c.remote = a
	if a == nil {
		c.remote = c.Conn.RemoteAddr()
	}
	c.buf = c.buf[n:]
	c.timer.Stop()
	if !c.phase.CompareAndSwap(waiting, begun) {
		return c.headError(os.ErrDeadlineExceeded)
	}
	return nil
}

func (c *conn) headError(err error) error {
	a := c.Conn.RemoteAddr()
	return &net.OpError{Op: "read PROXY head", Net: a.Network(), Addr: a, Err: err}
}
