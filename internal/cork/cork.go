// Package cork lets the records of TLS leave together. crypto/tls gives each, of
// at most 16 KiB, to the connection beneath by itself, and so makes eight system
// calls, and wakes the peer as often, for what is one Write without TLS.
package cork

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"culvert/internal/sock"
)

const (
	// oneRecord is how much plaintext a record holds at most (RFC 8446,
	// Section 5.1).
	oneRecord = 16 << 10
	// bufferSize is for two records and their headers. With four or eight it
	// is no faster.
	bufferSize = 2*oneRecord + 1<<10
)

// buffers are for those who write; the others have none.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Conn is a connection for TLS to run on. It passes on all at once, except for
// what is written within the Write of a Writer.
type Conn struct {
	net.Conn

	sock io.ReadWriter // reads and writes Conn

	corked atomic.Bool // or failed

	mu  sync.Mutex // guards the fields below, and the order of writes while corked
	buf *[bufferSize]byte
	n   int   // how many bytes wait in buf
	err error // of a write of what had waited
}

// New returns a Conn that runs on c.
func New(c net.Conn) *Conn { return &Conn{Conn: c, sock: sock.New(c)} }

// MoveTo has the Conn run on c, which what it ran on runs on. Nobody may use it
// meanwhile.
func (c *Conn) MoveTo(to net.Conn) { c.Conn, c.sock = to, sock.New(to) }

// Writer is a TLS connection for one writer at a time. If that runs on a Conn,
// the records of one Write leave together. An error of that is final, a timeout
// too: nobody can tell TLS which of its records have left.
type Writer struct {
	*tls.Conn

	beneath *Conn // nil if it runs on something else
}

// NewWriter returns a Writer of t.
func NewWriter(t *tls.Conn) *Writer {
	w := &Writer{Conn: t}
	w.beneath, _ = t.NetConn().(*Conn)
	return w
}

// Write is that of the TLS connection.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) <= oneRecord || w.beneath == nil {
		return w.Conn.Write(p)
	}
	return w.beneath.write(w.Conn, p)
}

// Close is that of the TLS connection, at once: it takes 5 s to tell a peer that
// takes no more bytes, unless it is called beside Write.
func (w *Writer) Close() error {
	if c := w.beneath; c != nil && c.corked.Load() {
		_ = c.Conn.Close()
	}
	return w.Conn.Close()
}

// write is t.Write, corked.
func (c *Conn) write(t *tls.Conn, p []byte) (int, error) {
	c.cork()
	n, err := t.Write(p)
	if err := c.uncork(); err != nil {
		return 0, err
	}
	return n, err
}

// cork has what is written wait until it is much, or uncork is called.
func (c *Conn) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = buffers.Get().(*[bufferSize]byte)
	c.corked.Store(true)
}

func (c *Conn) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	c.corked.Store(c.err != nil)
	buffers.Put(c.buf)
	c.buf = nil
	return c.err
}

// flush passes on what waits; mu is held.
func (c *Conn) flush() {
	if c.n > 0 && c.err == nil {
		_, c.err = c.sock.Write(c.buf[:c.n])
	}
	c.n = 0
}

// Read implements net.Conn, for crypto/tls.
func (c *Conn) Read(p []byte) (int, error) { return c.sock.Read(p) }

// Write implements net.Conn, for crypto/tls.
func (c *Conn) Write(p []byte) (int, error) {
	if c.corked.Load() {
		return c.gather(p)
	}
	return c.sock.Write(p)
}

// gather has p wait with what waits already. TLS writes beside Write too, such
// as alerts; these keep their place.
func (c *Conn) gather(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) > bufferSize-c.n {
		c.flush()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.buf == nil || len(p) > bufferSize:
		return c.sock.Write(p)
	}
	c.n += copy(c.buf[c.n:], p)
	return len(p), nil
}

// NetConn returns the connection that c runs on.
func (c *Conn) NetConn() net.Conn { return c.Conn }
