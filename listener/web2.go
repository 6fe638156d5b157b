package listener

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"culvert/internal/ready"
)

// newWeb2 returns the server of HTTP/2 for what is not gRPC: requests of
// browsers, curl and probes, which negotiate h2 and go to Config.Handler.
func (l *Listener) newWeb2() (*http.Server, *http2.Server) {
	base := &http.Server{
		Handler:        http.HandlerFunc(l.route2),
		MaxHeaderBytes: l.cfg.MaxHead,
		ErrorLog:       errorLog(l.cfg.Logger),
	}
	server := &http2.Server{IdleTimeout: 2 * time.Minute}
	_ = http2.ConfigureServer(base, server) // whose TLS is not used
	return base, server
}

// route2 is the HTTP/2 side of the port. A gRPC call on such a connection can go
// to no grpc.Server: its client is told to take another connection (RFC 9110,
// Section 15.5.20).
func (l *Listener) route2(w http.ResponseWriter, r *http.Request) {
	switch {
	case isGRPC(r):
		http.Error(w, "this connection began with a request that is not gRPC", http.StatusMisdirectedRequest)
	case r.URL.EscapedPath() == l.path:
		l.ServeHTTP(w, r)
	default:
		l.cfg.Handler.ServeHTTP(w, r)
	}
}

// serveWeb2 serves c, which is read by r and written by w, until it ends.
func (l *Listener) serveWeb2(c net.Conn, r io.Reader, to io.Writer) {
	w := &web2Conn{Conn: c, r: r, w: to, done: make(chan struct{})}
	l.track(w)
	defer l.untrack(w)
	var inner net.Conn = w
	if state := tlsState(c); state != nil {
		inner = &secureWeb2Conn{w, *state}
	}
	l.h2.ServeConn(inner, &http2.ServeConnOpts{BaseConfig: l.web2, Handler: l.web2.Handler})
	close(w.done)
	_ = c.Close()
}

// web2Conn is a connection of HTTP/2 that is not gRPC's.
type web2Conn struct {
	net.Conn

	r    io.Reader
	w    io.Writer
	done chan struct{}
}

// Read implements net.Conn.
func (w *web2Conn) Read(p []byte) (int, error) { return w.r.Read(p) }

// Write implements net.Conn.
func (w *web2Conn) Write(p []byte) (int, error) { return w.w.Write(p) }

// Shutdown waits until the server of HTTP/2 has let go of the connection.
func (w *web2Conn) Shutdown(ctx context.Context) error {
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return w.Close()
	}
}

// secureWeb2Conn is a web2Conn that TLS was done on.
type secureWeb2Conn struct {
	*web2Conn

	state tls.ConnectionState
}

// ConnectionState is what http2 asks for the state of TLS.
func (s *secureWeb2Conn) ConnectionState() tls.ConnectionState { return s.state }

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
	if !m.listener.own() {
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
	go func() {
		defer m.listener.owned.Done()
		m.listener.serveWeb2(m.Conn, in, out)
	}()
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
	state := tlsState(inner)
	switch {
	case f.req != nil && f.req.path == verifyMethod && f.alone:
		l.answerVerification(inner, f)
		l.handshakes.end(h)
		return
	case f.req != nil && !f.req.isGRPC() && l.handles:
		l.handshakes.end(h)
		l.serveWeb2(inner, io.MultiReader(bytes.NewReader(f.buf), inner), inner)
		return
	}
	addr := inner.RemoteAddr()
	var c net.Conn = &sniffed{Conn: inner, head: f.buf}
	if l.handles && f.req == nil {
		c = &mixed{Conn: inner, listener: l, flight: f}
	}
	l.deliver(&conn{Conn: c, Reader: ready.New(c), auth: authInfo(state), addr: addr}, nil)
	l.handshakes.end(h)
}
