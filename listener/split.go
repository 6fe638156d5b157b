package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"

	"culvert/internal/cork"
)

// preface is what a client of HTTP/2 sends first (RFC 9113, Section 3.4). No
// HTTP/1.1 request begins with its first four bytes.
const preface = "PRI "

// maxAcceptDelay is the longest pause after an Accept that failed.
const maxAcceptDelay = 250 * time.Millisecond

// isOutOfFiles reports whether err says that too many files are open.
func isOutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// acceptLoop accepts connections of the port and tells them apart.
func (l *Listener) acceptLoop() {
	defer l.owned.Done()
	var delay time.Duration
	for {
		c, err := l.port.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // it passes
			delay = min(max(2*delay, 5*time.Millisecond), maxAcceptDelay)
			if isOutOfFiles(err) && l.handshakes.makeRoom() {
				delay = time.Millisecond // for the file to be closed
			}
			l.cfg.Logger.Error("listener: accept failed", "err", err, "retry", delay)
			if !l.pause(delay) {
				return
			}
			continue
		}
		delay = 0
		h := l.handshakes.begin(c)
		if h == nil {
			_ = c.Close()
			continue
		}
		if !l.own() {
			l.handshakes.end(h)
			_ = c.Close()
			continue
		}
		go func() {
			defer l.owned.Done()
			l.split(c, h)
		}()
		runtime.Gosched() // there may be many: others first
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
func (l *Listener) split(c net.Conn, h *handshake) {
	inner, isHTTP2, err := l.tellApart(c)
	var first *flight
	if err == nil && isHTTP2 {
		if first, err = l.readFlight(inner); err != nil {
			inner = c
		}
	}
	l.handshakes.known(h) // before somebody has it: Close spares what was handed out
	if err != nil || l.isClosed() {
		l.handshakes.end(h)
		if err != nil {
			l.mismatched(c, err)
			l.counters.broken.Add(1)
			l.cfg.Logger.Debug("listener: no usable connection", "err", err)
		}
		_ = c.Close()
		return
	}
	if !isHTTP2 {
		web, ok := inner.(*sniffed)
		if !ok {
			web = &sniffed{Conn: inner}
		}
		web.handshake = h
		l.sniffedTLS(web)
		l.webConns.put(web)
		return
	}
	l.deliverHTTP2(inner, first, h)
}

// readFlight reads what a client of HTTP/2 sends first: c, which it may have
// begun to sniff.
func (l *Listener) readFlight(c net.Conn) (*flight, error) {
	var head []byte
	if s, ok := c.(*sniffed); ok {
		head, s.head = s.head, nil
	}
	return readFlight(c, head, l.cfg.HandshakeTimeout)
}

// isClosed reports whether Close was called.
func (l *Listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// onWebState follows what a connection of HTTP/1.1 is doing.
func (l *Listener) onWebState(c net.Conn, state http.ConnState) {
	h := c.(*sniffed).handshake
	switch state {
	case http.StateIdle:
		l.handshakes.again(h)
	case http.StateHijacked, http.StateClosed:
		l.handshakes.end(h)
	case http.StateNew, http.StateActive: // its request may take long to come
	}
}

// tellApart does TLS, if configured, and says what the client speaks.
func (l *Listener) tellApart(c net.Conn) (inner net.Conn, isHTTP2 bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.HandshakeTimeout)
	defer cancel()
	inner = c
	if l.cfg.TLS != nil {
		p := &paced{Conn: c, pace: l.pace, done: ctx.Done()}
		beneath := cork.New(p)
		t := tls.Server(beneath, l.cfg.TLS)
		err := t.HandshakeContext(ctx)
		p.leave()
		if err != nil {
			return nil, false, err
		}
		beneath.MoveTo(c)
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

	head      []byte
	handshake *handshake // of a connection of HTTP/1.1
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
	if len(s.head) > 0 {
		return s
	}
	if u, ok := s.Conn.(interface{ Unwrap() net.Conn }); ok {
		return u.Unwrap()
	}
	return s.Conn
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

type webConnKey struct{}

// withWebConn hands a connection on to its requests: net/http does not find the
// TLS in it.
func withWebConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, webConnKey{}, c)
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
