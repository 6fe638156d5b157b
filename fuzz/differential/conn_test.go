package differential

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"culvert/wsconn"
)

// memConn is a connection that reads from memory in pieces of at most chunk
// bytes and keeps what is written. Before the last Read returns io.EOF it calls
// idle.
type memConn struct {
	in    []byte
	chunk int
	idle  func()

	mu  sync.Mutex
	out []byte
}

func (c *memConn) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		if c.idle != nil {
			c.idle()
		}
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

// written returns what was written.
func (c *memConn) written() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.out)
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

// ours is a wsconn in either role, whose texts go to onText.
func ours(c *memConn, client bool, onText func([]byte)) *wsconn.Conn {
	cfg := &wsconn.Config{PingInterval: -1, ControlBurst: 1 << 30, MaxText: 1 << 30, OnText: onText}
	if client {
		return wsconn.Client(c, cfg)
	}
	return wsconn.Server(c, cfg)
}

// theirs is a coder/websocket in either role, after a handshake that is not
// part of c.
func theirs(t testing.TB, c *memConn, client bool) *websocket.Conn {
	t.Helper()
	var conn *websocket.Conn
	var err error
	if client {
		opts := &websocket.DialOptions{HTTPClient: &http.Client{Transport: switched{c}}, CompressionMode: websocket.CompressionDisabled}
		conn, _, err = websocket.Dial(context.Background(), "ws://example.com/", opts)
	} else {
		conn, err = websocket.Accept(&hijacked{conn: c}, upgrade(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	return conn
}

// upgrade is a right request.
func upgrade() *http.Request {
	r, _ := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")))
	return r
}

// hijacked is a ResponseWriter that gives its connection away, and keeps the
// status.
type hijacked struct {
	conn   net.Conn
	header http.Header
	status int
}

func (h *hijacked) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}

func (h *hijacked) Write(p []byte) (int, error) { return len(p), nil }

func (h *hijacked) WriteHeader(status int) { h.status = status }

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}
