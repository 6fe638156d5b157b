package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"sync"
	"time"

	"culvert/internal/ready"
)

// preface is what a client of HTTP/2 sends first (RFC 9113, Section 3.4). No
// HTTP/1.1 request begins with its first four bytes.
const preface = "PRI "

// acceptLoop accepts connections of the port and tells them apart.
func (l *Listener) acceptLoop() {
	defer l.owned.Done()
	var delay time.Duration
	for {
		c, err := l.port.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // such as too many open files: it passes
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			l.cfg.Logger.Error("listener: accept failed", "err", err, "retry", delay)
			if !l.pause(delay) {
				return
			}
			continue
		}
		delay = 0
		if !l.own() {
			_ = c.Close()
			continue
		}
		go func() {
			defer l.owned.Done()
			l.split(c)
		}()
	}
}

// pause waits and reports false if the Listener was closed meanwhile.
func (l *Listener) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

// split passes c on: HTTP/2 to Accept as it is, everything else to the
// HTTP/1.1 server.
func (l *Listener) split(c net.Conn) {
	l.setPending(c, true)
	inner, isHTTP2, err := l.tellApart(c)
	l.setPending(c, false) // before somebody has it: Close spares what was handed out
	if err != nil {
		l.cfg.Logger.Debug("listener: no usable connection", "remote", c.RemoteAddr(), "err", err)
		_ = c.Close()
		return
	}
	if !isHTTP2 {
		l.webConns.put(inner)
		return
	}
	l.deliver(&conn{Conn: inner, Reader: ready.New(inner), auth: authInfo(tlsState(inner)), addr: inner.RemoteAddr()}, nil)
}

// tellApart does TLS, if configured, and says what the client speaks.
func (l *Listener) tellApart(c net.Conn) (inner net.Conn, isHTTP2 bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.HandshakeTimeout)
	defer cancel()
	inner = c
	if l.cfg.TLS != nil {
		t := tls.Server(c, l.cfg.TLS)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, false, err
		}
		if p := t.ConnectionState().NegotiatedProtocol; p != "" {
			return t, p == "h2", nil
		}
		inner = t
	}
	return sniff(inner, l.cfg.HandshakeTimeout)
}

// sniff reads as many bytes of c as it takes to tell HTTP/2 from HTTP/1.1.
func sniff(c net.Conn, timeout time.Duration) (inner net.Conn, isHTTP2 bool, err error) {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	var head [len(preface)]byte
	n := 0
	for n < len(head) && string(head[:n]) == preface[:n] {
		m, err := c.Read(head[n:])
		if err != nil {
			return nil, false, err
		}
		n += m
	}
	_ = c.SetReadDeadline(time.Time{})
	return &sniffed{Conn: c, head: head[:n]}, string(head[:n]) == preface, nil
}

// sniffed is a connection whose first bytes were read already. One reader at a
// time, which is what HTTP servers are.
type sniffed struct {
	net.Conn

	head []byte
}

// Read returns the sniffed bytes first.
func (s *sniffed) Read(p []byte) (int, error) {
	if len(s.head) == 0 {
		return s.Conn.Read(p)
	}
	n := copy(p, s.head)
	s.head = s.head[n:]
	return n, nil
}

// Unwrap returns the connection itself once the sniffed bytes were read.
func (s *sniffed) Unwrap() net.Conn {
	if len(s.head) == 0 {
		return s.Conn
	}
	return s
}

// tlsState returns the TLS state of c, nil if it has none.
func tlsState(c net.Conn) *tls.ConnectionState {
	if s, ok := c.(*sniffed); ok {
		c = s.Conn
	}
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	return &state
}

type tlsStateKey struct{}

// withTLSState hands the TLS state of c on to its requests: net/http does not
// find it in a sniffed connection.
func withTLSState(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, tlsStateKey{}, tlsState(c))
}

// setPending keeps count of connections that Close is to close, since nobody
// else knows of them yet.
func (l *Listener) setPending(c net.Conn, pending bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !pending:
		delete(l.pending, c)
	case l.closing:
		_ = c.Close()
	default:
		l.pending[c] = struct{}{}
	}
}

// queue is a net.Listener of connections that were accepted elsewhere.
type queue struct {
	addr   net.Addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (q *queue) put(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.closed:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.addr }

// errorLog gives net/http's complaints about clients to slog.
func errorLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
