package fallback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"culvert/internal/ready"
)

// dialNative connects to addr, an address of t, for gRPC over HTTP/2, in mode
// Native.
func (t *target) dialNative(ctx context.Context, addr string) (*conn, error) {
	c, err := t.connect(ctx, addr, func() {}, "h2")
	if err != nil {
		return nil, err
	}
	if tc, ok := c.(*tls.Conn); ok && tc.ConnectionState().NegotiatedProtocol != "h2" {
		p := tc.ConnectionState().NegotiatedProtocol
		_ = c.Close()
		return nil, fmt.Errorf("fallback: %s does not speak HTTP/2: ALPN picked %q; modes Auto and WebSocket have a tunnel", t.name, p)
	}
	t.nativeWorks("mode Native")
	return t.own(&conn{Conn: c, Reader: ready.New(c), auth: authInfo(c), raw: socketOf(c)}), nil
}

// attempt is what one try of native came to.
type attempt struct {
	conn  *conn    // that speaks HTTP/2; nil if there is none
	http1 net.Conn // that TLS was done on, but HTTP/1.1 negotiated
	err   error    // why there is no conn
}

func (a attempt) close() {
	if a.conn != nil {
		_ = a.conn.Close()
	}
	if a.http1 != nil {
		_ = a.http1.Close()
	}
}

// attempt makes one try of native at addr. reached is called when TCP is done.
func (t *target) attempt(ctx context.Context, addr string, reached func()) attempt {
	timeout := orDefault(t.dialer.HandshakeTimeout, defaultHandshakeTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, silence(timeout))
	defer cancel()
	life := &nativeLife{target: t}
	a := t.open(ctx, addr, reached, hears{answered: life.answered, refused: t.onSign, retry: t.hopeful})
	if a.conn != nil {
		a.conn.onClose = life.close
		t.own(a.conn)
	}
	return a
}

// nativeLife counts a native connection among those that live while it does,
// from the first answer of gRPC on. That is the proof from the RPCs' own path.
type nativeLife struct {
	target *target

	mu     sync.Mutex
	lives  bool
	closed bool
}

func (l *nativeLife) answered() {
	l.mu.Lock()
	first := !l.lives && !l.closed
	l.lives = l.lives || first
	l.mu.Unlock()
	if first {
		l.target.nativeLives(1)
		l.target.verified("HTTP/2 passes, gRPC was answered")
	}
}

func (l *nativeLife) close() {
	l.mu.Lock()
	lived := l.lives
	l.lives, l.closed = false, true
	l.mu.Unlock()
	if lived {
		l.target.nativeLives(-1)
	}
}

// open connects to addr, offering both protocols, and sees that HTTP/2 is real
// at the first hop. h hears what watch sees of RPCs.
func (t *target) open(ctx context.Context, addr string, reached func(), h hears) attempt {
	d := t.dialer
	c, err := t.connect(ctx, addr, reached, "h2", "http/1.1")
	if err != nil {
		return attempt{err: err}
	}
	if sign := noHTTP2(c); sign != nil {
		return attempt{http1: c, err: sign}
	}
	h2, err := greet(ctx, c)
	d.Trace.firstFrame(t.name, err)
	if err != nil {
		_ = c.Close()
		if d.Insecure && errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w (if the server speaks TLS, unset Dialer.Insecure)", err)
		}
		return attempt{err: fmt.Errorf("fallback: HTTP/2 with %s: %w", t.name, err)}
	}
	h2 = watch(h2, h)
	return attempt{conn: &conn{Conn: h2, Reader: ready.New(h2), auth: authInfo(c), raw: socketOf(c)}}
}

// noHTTP2 says why c, on which TLS was done, does not speak HTTP/2.
func noHTTP2(c net.Conn) error {
	tc, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	switch p := tc.ConnectionState().NegotiatedProtocol; p {
	case "h2":
		return nil
	case "":
		return &signError{class: definite, what: "the server, or a proxy that opened TLS, negotiated no protocol (ALPN), so not HTTP/2"}
	default:
		return &signError{class: definite, what: fmt.Sprintf("the server, or a proxy that opened TLS, negotiated %s (ALPN)", p)}
	}
}
