package listener

import (
	"net"
	"sync/atomic"
	"time"

	"culvert/internal/ready"
)

// What a client of HTTP/2 sends first: the preface, of which split has seen the
// beginning, and a frame with SETTINGS (RFC 9113, Section 3.4), whose length is in
// the first three bytes of its header.
const (
	prefaceSize     = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	frameHeaderSize = 9
)

// prefaced is a native connection that counts as a handshake until its client's
// preface and SETTINGS were read, or it is closed. One reader at a time, which is
// what HTTP servers are.
type prefaced struct {
	net.Conn

	end    func() // of the handshake; may be called again
	isDone atomic.Bool
	timer  atomic.Pointer[time.Timer]

	seen   int // how many bytes were read, as long as they count; belongs to the reader
	length int // of the SETTINGS, as far as it was seen
}

// Read implements net.Conn.
func (c *prefaced) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.isDone.Load() {
		c.look(p[:n])
	}
	return n, err
}

// look looks at what was read.
func (c *prefaced) look(b []byte) {
	for _, x := range b {
		if c.seen >= prefaceSize && c.seen < prefaceSize+3 {
			c.length = c.length<<8 | int(x)
		}
		if c.seen++; c.seen >= prefaceSize+frameHeaderSize+c.length {
			c.done()
			return
		}
	}
}

func (c *prefaced) done() {
	c.isDone.Store(true)
	c.end()
	if t := c.timer.Load(); t != nil {
		t.Stop()
	}
}

// Close implements net.Conn.
func (c *prefaced) Close() error {
	c.done()
	return c.Conn.Close()
}

// deliverNative hands c, which speaks HTTP/2, to Accept. It counts as a handshake
// until the client has said what the protocol begins with, and is closed if that
// takes longer than a handshake may.
func (l *Listener) deliverNative(c *conn, h *handshake) {
	p := &prefaced{Conn: c.Conn, end: func() { l.handshakes.end(h) }}
	c.Conn, c.Reader = p, ready.New(p)
	l.deliver(c, nil)
	timeout := l.cfg.HandshakeTimeout
	if l.cfg.TLS == nil { // the time of TLS does not count
		timeout -= time.Since(h.since)
	}
	if p.isDone.Load() {
		return
	}
	p.timer.Store(time.AfterFunc(timeout, func() {
		if !p.isDone.Load() {
			l.counters.broken.Add(1)
			_ = p.Close()
		}
	}))
}
