package fallback

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// What a client of HTTP/2 sends first (RFC 9113, Section 3.4): the preface and
// a SETTINGS frame, here an empty one.
const (
	preface       = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	emptySettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	frameHeader   = 9
	typeSettings  = 4
	tlsAlert      = 21 // type of a TLS record (RFC 8446, Section 5.1), which 3 follows
)

// greet sends the preface ahead of gRPC and reads the header of the first
// frame that comes back. If it is SETTINGS, HTTP/2 is real at this hop, and the
// connection that greet returns drops the preface that gRPC will write itself.
func greet(ctx context.Context, c net.Conn) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	var head [frameHeader]byte
	_, err := io.WriteString(c, preface+emptySettings)
	n := 0
	if err == nil {
		n, err = io.ReadFull(c, head[:])
	}
	if !stop() {
		return nil, fmt.Errorf("no HTTP/2 frame came: %w", context.Cause(ctx))
	}
	if err != nil {
		if sign := isAlert(head[:n]); sign != nil {
			return nil, sign
		}
		return nil, fmt.Errorf("no HTTP/2 frame came: %w", err)
	}
	if sign := notSettings(head[:]); sign != nil {
		return nil, sign
	}
	return &greeted{Conn: c, head: head[:], skip: len(preface)}, nil
}

// notSettings says what the head of the server's first frame shows, if it is not
// of SETTINGS.
func notSettings(head []byte) error {
	switch {
	case string(head[:7]) == "HTTP/1.":
		return &signError{class: definite, what: "the server, or a hop before it, answered HTTP/1.1 instead of HTTP/2"}
	case isAlert(head) != nil:
		return isAlert(head)
	case head[3] != typeSettings:
		return &signError{class: definite, what: fmt.Sprintf("the answer begins with %q, which is not HTTP/2", head)}
	default:
		return nil
	}
}

// isAlert says that a server which was sent cleartext answers with an alert of
// TLS, nil if head is not the beginning of one.
func isAlert(head []byte) error {
	if len(head) < 2 || head[0] != tlsAlert || head[1] != 3 {
		return nil
	}
	return &signError{class: never, mismatch: true, what: "the server speaks TLS here, and the Dialer does not: unset Dialer.Insecure"}
}

// greeted is an HTTP/2 connection whose preface was sent and of whose first
// frame the header was read.
type greeted struct {
	net.Conn

	head []byte // to be read yet, by the one reader

	mu   sync.Mutex
	skip int // bytes of the preface that gRPC is yet to write
}

// Read returns the frame header first.
func (g *greeted) Read(p []byte) (int, error) {
	if len(g.head) == 0 {
		return g.Conn.Read(p)
	}
	n := copy(p, g.head)
	g.head = g.head[n:]
	return n, nil
}

// Write drops the preface.
func (g *greeted) Write(p []byte) (int, error) {
	g.mu.Lock()
	dropped := min(g.skip, len(p))
	g.skip -= dropped
	g.mu.Unlock()
	if dropped == len(p) {
		return dropped, nil
	}
	n, err := g.Conn.Write(p[dropped:])
	return dropped + n, err
}
