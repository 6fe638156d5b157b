package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// slowConnections is how many there are at a time.
const slowConnections = 5000

// slowHandshakes keeps as many connections that do not get on with it.
func slowHandshakes(ctx context.Context, t *target) {
	hello := clientHello(t.tls)
	t.keep(ctx, t.scale(slowConnections), time.Second, func(ctx context.Context, i int) {
		switch i % 3 {
		case 0:
			t.silent(ctx, i)
		case 1:
			t.slowHello(ctx, i, hello)
		default:
			t.slowRequest(ctx, i)
		}
	})
}

// silent sends nothing.
func (t *target) silent(ctx context.Context, i int) {
	c, err := t.connect(ctx, i)
	if err != nil {
		t.failed(ctx)
		return
	}
	defer closeWith(ctx, c)()
	t.add("silent", 1)
	_, _ = io.Copy(io.Discard, c)
	t.dropped(ctx)
}

// slowHello sends a ClientHello a byte a second.
func (t *target) slowHello(ctx context.Context, i int, hello []byte) {
	c, err := t.connect(ctx, i)
	if err != nil {
		t.failed(ctx)
		return
	}
	defer closeWith(ctx, c)()
	t.add("slow in TLS", 1)
	_ = dribble(ctx, c, hello)
	t.dropped(ctx)
}

// slowRequest does TLS, and then sends a request a byte a second.
func (t *target) slowRequest(ctx context.Context, i int) {
	s, err := t.secure(ctx, i)
	if err != nil {
		t.failed(ctx)
		return
	}
	defer func() { _ = s.Close() }()
	t.add("slow in the request", 1)
	_ = dribble(ctx, s, hostile.request())
	t.dropped(ctx)
}

// dropped counts a connection that the server closed.
func (t *target) dropped(ctx context.Context) {
	if ctx.Err() == nil {
		t.add("closed by the server", 1)
	}
}

// dribble writes a byte a second.
func dribble(ctx context.Context, w io.Writer, b []byte) error {
	for i := range b {
		if _, err := w.Write(b[i : i+1]); err != nil {
			return err
		}
		wait(time.Second, ctx.Done())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// closeWith closes c with a RST when ctx ends, or the function it returns is
// called.
func closeWith(ctx context.Context, c *net.TCPConn) func() {
	cut := func() {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	forget := context.AfterFunc(ctx, cut)
	return func() {
		forget()
		cut()
	}
}

// clientHello returns the first thing that a client of TLS sends.
func clientHello(config *tls.Config) []byte {
	var r recorder
	_ = tls.Client(&r, config).Handshake() // fails with its first write
	return r.wrote
}

// recorder is a connection that takes one write and fails.
type recorder struct {
	net.Conn

	wrote []byte
}

var errRecorded = errors.New("recorded")

// Write implements net.Conn.
func (r *recorder) Write(p []byte) (int, error) {
	r.wrote = append(r.wrote, p...)
	return 0, errRecorded
}
