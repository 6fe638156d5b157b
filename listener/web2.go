package listener

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// newWeb2 returns the server of HTTP/2 for what is not gRPC: requests of
// browsers, curl and probes, which negotiate h2 and go to Config.Handler. TLS is
// done by then.
func (l *Listener) newWeb2() *http.Server {
	srv := &http.Server{
		Handler:           http.HandlerFunc(l.route2),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: l.cfg.HandshakeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    l.cfg.MaxHead,
		ConnContext:       withWebConn,
		ErrorLog:          errorLog(l.cfg.Logger),
	}
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}

// route2 is the HTTP/2 side of the port. A gRPC call on such a connection can go
// to no grpc.Server: its client is told to take another connection (RFC 9110,
// Section 15.5.20).
func (l *Listener) route2(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(webConnKey{}).(*web2Conn); ok {
		r.TLS = tlsState(c.Conn)
	}
	switch {
	case isGRPC(r):
		http.Error(w, "this connection began with a request that is not gRPC", http.StatusMisdirectedRequest)
	case r.URL.EscapedPath() == l.path:
		l.ServeHTTP(w, r)
	default:
		l.cfg.Handler.ServeHTTP(w, r)
	}
}

// web2Conn is a connection of HTTP/2 that is not gRPC's.
type web2Conn struct {
	net.Conn

	r io.Reader
	w io.Writer
}

// Read implements net.Conn.
func (w *web2Conn) Read(p []byte) (int, error) { return w.r.Read(p) }

// Write implements net.Conn.
func (w *web2Conn) Write(p []byte) (int, error) { return w.w.Write(p) }

// mixed is a connection that a grpc.Server has and whose first request is yet to
// come: its client waits for the server's SETTINGS before. If that is not gRPC
// the connection is taken away from the grpc.Server, to which it seems to end.
type mixed struct {
	net.Conn

	listener *Listener

	settled atomic.Bool // the first request has come
	mu      sync.Mutex  // held while something is written, until then
	taken   bool
	written scanner
	acked   bool // the grpc.Server has acknowledged the client's SETTINGS

	flight *flight // belongs to the reader
	read   int     // bytes of flight.buf that were passed on
}

// Read implements net.Conn.
func (m *mixed) Read(p []byte) (int, error) {
	for {
		if m.flight == nil {
			return m.Conn.Read(p)
		}
		whole := m.flight.pos // frames before the first request go on at once
		if m.flight.req != nil || m.flight.in || len(m.flight.buf) > maxFlight {
			whole = len(m.flight.buf)
		}
		if m.flight.in {
			whole = m.read
		}
		if m.read < whole {
			n := copy(p, m.flight.buf[m.read:whole])
			m.read += n
			if all := len(m.flight.buf); m.read == all && (m.flight.req != nil || all > maxFlight) {
				m.flight = nil
				m.settled.Store(true)
			}
			return n, nil
		}
		if err := m.more(); err != nil {
			return 0, err
		}
	}
}

// more reads more of the client's first frames.
func (m *mixed) more() error {
	buf := make([]byte, 4<<10)
	n, err := m.Conn.Read(buf)
	m.flight.buf = append(m.flight.buf, buf[:n]...)
	if n == 0 && err != nil {
		return err
	}
	if _, err := m.flight.parse(); err != nil {
		return err
	}
	if req := m.flight.req; req != nil && !req.isGRPC() && m.take() {
		return io.EOF
	}
	return nil
}

// take takes the connection away from the grpc.Server.
func (m *mixed) take() bool {
	if m.listener.isClosed() {
		return false
	}
	m.mu.Lock()
	m.taken = true
	_ = m.Conn.SetDeadline(time.Time{})
	m.mu.Unlock()
	// The client acknowledges the grpc.Server's SETTINGS too, and has that
	// server's acknowledgement of its own perhaps.
	replay := io.MultiReader(bytes.NewReader(m.flight.buf), m.Conn)
	in := &ackReader{Reader: replay, scanner: scanner{skip: len(fullPreface)}}
	var out io.Writer = m.Conn
	if m.acked {
		out = &ackWriter{Writer: m.Conn}
	}
	m.listener.web2Conns.put(&web2Conn{Conn: m.Conn, r: in, w: out})
	return true
}

// Write implements net.Conn. What the grpc.Server writes after the connection
// was taken away is dropped.
func (m *mixed) Write(p []byte) (int, error) {
	if m.settled.Load() {
		return m.Conn.Write(p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken {
		return 0, net.ErrClosed
	}
	for rest := p; len(rest) > 0; {
		n, whole := m.written.next(rest)
		m.acked = m.acked || whole && m.written.isAck()
		rest = rest[n:]
	}
	return m.Conn.Write(p)
}

// Close implements net.Conn.
func (m *mixed) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken {
		return nil
	}
	return m.Conn.Close()
}

// SetDeadline, SetReadDeadline and SetWriteDeadline implement net.Conn.
func (m *mixed) SetDeadline(t time.Time) error      { return m.limit(m.Conn.SetDeadline, t) }
func (m *mixed) SetReadDeadline(t time.Time) error  { return m.limit(m.Conn.SetReadDeadline, t) }
func (m *mixed) SetWriteDeadline(t time.Time) error { return m.limit(m.Conn.SetWriteDeadline, t) }

func (m *mixed) limit(set func(time.Time) error, t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken {
		return nil
	}
	return set(t)
}

// deliverHTTP2 passes on a connection of HTTP/2 by its first flight.
func (l *Listener) deliverHTTP2(inner net.Conn, f *flight, h *handshake) {
	native := f.req == nil || f.req.isGRPC() || !l.handles
	switch {
	case l.cfg.RequireTunnel && native:
		l.counters.requests.Add(1)
		l.handshakes.end(h)
		turnAway(inner, http2.ErrCodeHTTP11Required, errTunnelOnly.Error())
		return
	case f.req != nil && f.req.path == verifyMethod && f.alone:
		l.deliverVerification(inner, f)
		l.handshakes.end(h)
		return
	case f.req != nil && !f.req.isGRPC() && l.handles:
		l.handshakes.end(h)
		l.web2Conns.put(&web2Conn{Conn: inner, r: io.MultiReader(bytes.NewReader(f.buf), inner), w: inner})
		return
	}
	var c net.Conn = &sniffed{Conn: inner, head: f.buf}
	if l.handles && f.req == nil {
		c = &mixed{Conn: inner, listener: l, flight: f}
	}
	l.deliverNative(inner, c, f)
	l.handshakes.end(h)
}
