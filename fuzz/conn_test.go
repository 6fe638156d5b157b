package fuzz

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"culvert/wsconn"
)

// memConn is a connection that reads from memory in pieces of at most chunk
// bytes and keeps what is written.
type memConn struct {
	in    []byte
	chunk int

	mu  sync.Mutex
	out []byte
}

func (c *memConn) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.chunk)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *memConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, p...)
	return len(p), nil
}

func (c *memConn) Close() error                     { return nil }
func (c *memConn) LocalAddr() net.Addr              { return memAddr{} }
func (c *memConn) RemoteAddr() net.Addr             { return memAddr{} }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "memory" }

// quiet is a Config without timers, and with no limit that depends on time.
func quiet(texts *[]string) *wsconn.Config {
	return &wsconn.Config{
		PingInterval: -1,
		ControlBurst: 1 << 30,
		OnText:       func(b []byte) { *texts = append(*texts, string(b)) },
	}
}

// outcome is what a WebSocket made of its input.
type outcome struct {
	payload string
	texts   []string
	err     error
}

// decode reads raw as the input of a WebSocket in one role.
func decode(raw []byte, client bool, chunk, buffer int) (o outcome) {
	c := &memConn{in: append([]byte(nil), raw...), chunk: chunk}
	role := wsconn.Server
	if client {
		role = wsconn.Client
	}
	ws := role(c, quiet(&o.texts))
	defer ws.Close()
	p := make([]byte, buffer)
	var all []byte
	for o.err == nil {
		var n int
		n, o.err = ws.Read(p)
		all = append(all, p[:n]...)
	}
	o.payload = string(all)
	return o
}

// class names the kind of err, whose text may depend on where it struck.
func class(err error) string {
	var violation *wsconn.ProtocolError
	var closed *wsconn.CloseError
	switch {
	case err == io.EOF: //nolint:errorlint // the bare one is promised
		return "EOF"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut"
	case errors.As(err, &violation):
		return violation.Error()
	case errors.As(err, &closed):
		return closed.Error()
	default:
		return "unknown: " + err.Error()
	}
}
