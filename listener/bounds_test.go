package listener_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"culvert/internal/testnet"
	"culvert/listener"
	"culvert/mux"
	"culvert/resume"
)

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// resumable opens a tunnel of alice's or bob's that was of use.
func resumable(t *testing.T, l *listener.Listener, who string) *client {
	t.Helper()
	c := &client{T: t, log: &bytes.Buffer{}}
	c.dial(l, "Culvert-Resume: 1\r\nAuthorization: Bearer "+who+"\r\n")
	ping := []byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}
	c.send(ws.OpBinary, bytes.Repeat(ping, 10))
	c.receive(1)
	return c
}

// statusOf asks for a tunnel.
func statusOf(t *testing.T, l *listener.Listener, who string) int {
	t.Helper()
	return ask(t, l, upgrade+"Authorization: Bearer "+who+"\r\n\r\n").StatusCode
}

// TestLimitBeforeEviction refuses a caller that has as many tunnels as it may
// without ending another caller's for it.
func TestLimitBeforeEviction(t *testing.T) {
	cut := make(chan struct{}, 9)
	l := listen(t, &listener.Config{
		Authorize: byToken, MaxSessions: 2, MaxSessionsOfPrincipal: 1,
		Resume: &resume.Config{Window: 2 * time.Second, Observe: &resume.Observer{Cut: func(error) { cut <- struct{}{} }}},
	})
	resumable(t, l, "alice").conn.Close()
	<-cut
	resumable(t, l, "bob")
	for range 3 {
		if got := statusOf(t, l, "bob"); got != http.StatusTooManyRequests {
			t.Errorf("got %d, want 429", got)
		}
	}
	if got := l.Stats(); got.Sessions != 2 || got.Resumable != 2 {
		t.Errorf("got %+v, want alice's tunnel still there", got)
	}
}

// tunnelAs opens a tunnel and returns its client's session.
func tunnelAs(t *testing.T, l *listener.Listener, more string) *mux.Session {
	t.Helper()
	c := &client{T: t, log: &bytes.Buffer{}}
	c.dial(l, more)
	s, err := mux.Client(&framesConn{Conn: c.conn, rd: c.rd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// framesConn is a client's WebSocket that makes a frame of each Write.
type framesConn struct {
	net.Conn

	rd   *bufio.Reader
	left []byte
}

func (c *framesConn) Read(p []byte) (int, error) {
	for len(c.left) == 0 {
		f, err := ws.ReadFrame(c.rd)
		if err != nil {
			return 0, err
		}
		if f.Header.OpCode == ws.OpBinary {
			c.left = f.Payload
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *framesConn) Write(p []byte) (int, error) {
	f := ws.MaskFrameInPlace(ws.NewBinaryFrame(bytes.Clone(p)))
	return len(p), ws.WriteFrame(c.Conn, f)
}

// TestMaxStreams bounds the streams of all tunnels and of one principal, and the
// tunnels of those who may have no more.
func TestMaxStreams(t *testing.T) {
	l := listen(t, &listener.Config{Authorize: byToken, MaxStreams: 5, MaxStreamsOfPrincipal: 3})
	streams := map[string][]net.Conn{}
	fill := func(who string, s *mux.Session, n int) (open, refused int) {
		for range n {
			before := l.Stats()
			c, err := s.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			until(t, "the stream is open or refused", func() bool {
				now := l.Stats()
				return now.Streams > before.Streams || now.Refused.Streams+now.Refused.StreamsOfPrincipal >
					before.Refused.Streams+before.Refused.StreamsOfPrincipal
			})
			if l.Stats().Streams == before.Streams {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("a stream too many: got %v, want that it was reset", err)
				}
				refused++
				continue
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			streams[who] = append(streams[who], server)
			open++
		}
		return open, refused
	}
	alice, bob := tunnelAs(t, l, "Authorization: Bearer alice\r\n"), tunnelAs(t, l, "Authorization: Bearer bob\r\n")
	if open, refused := fill("alice", alice, 4); open != 3 || refused != 1 {
		t.Errorf("alice: got %d open, %d refused, want 3, 1", open, refused)
	}
	if got := statusOf(t, l, "alice"); got != http.StatusTooManyRequests {
		t.Errorf("alice's next tunnel: got %d, want 429", got)
	}
	if open, refused := fill("bob", bob, 3); open != 2 || refused != 1 {
		t.Errorf("bob: got %d open, %d refused, want 2, 1", open, refused)
	}
	if got := statusOf(t, l, "bob"); got != http.StatusServiceUnavailable {
		t.Errorf("bob's next tunnel: got %d, want 503", got)
	}
	for _, c := range streams["alice"] {
		_ = c.Close()
		_ = c.Close() // once more does nothing
	}
	if open, _ := fill("bob", bob, 1); open != 1 {
		t.Error("bob, after alice's were closed: got none open, want one")
	}
	if got := l.Stats(); got.Streams != 3 || got.Refused.StreamsOfPrincipal != 2 || got.Refused.Streams != 2 {
		t.Errorf("got %+v", got)
	}
	for _, c := range streams["bob"] {
		_ = c.Close()
	}
	if got := l.Stats().Streams; got != 0 {
		t.Errorf("got %d streams left, want none", got)
	}
}

// TestDetachedStreams ends tunnels with their WebSocket when those without one
// have too many streams, and keeps one that has few.
func TestDetachedStreams(t *testing.T) {
	cut := make(chan struct{}, 9)
	l := listen(t, &listener.Config{MaxStreams: 8 * 12, Resume: &resume.Config{
		Window:  2 * time.Second,
		Observe: &resume.Observer{Cut: func(error) { cut <- struct{}{} }},
	}})
	cutTunnel := func(streams int) {
		c := &client{T: t, log: &bytes.Buffer{}}
		c.dial(l, "Culvert-Resume: 1\r\n")
		var b []byte
		for n := range streams {
			b = append(b, 0, 1, 0, 1, 0, 0, 0, byte(2*n+1), 0, 0, 0, 0)
		}
		c.send(ws.OpBinary, b)
		for range streams {
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() { // as gRPC does
				_, _ = io.Copy(io.Discard, server)
				_ = server.Close()
			}()
		}
		_ = c.conn.Close()
		<-cut
	}
	cutTunnel(10)
	cutTunnel(5) // few
	cutTunnel(10)
	until(t, "one ended", func() bool { return l.Stats().Refused.Detached == 1 })
	until(t, "its streams are gone", func() bool { return l.Stats().Streams == 15 })
	if got := l.Stats(); got.Resumable != 2 {
		t.Errorf("got %+v, want two tunnels kept", got)
	}
}

// TestSlowPreface closes a connection that says it speaks HTTP/2 and then
// nothing, and counts it until then.
func TestSlowPreface(t *testing.T) {
	server, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	clientTLS.ServerName, clientTLS.NextProtos = "127.0.0.1", []string{"h2"}
	whole := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00"
	for _, secure := range []bool{false, true} {
		for _, said := range []string{"", "PRI ", whole[:20], whole[:24], whole[:30], whole[:len(whole)-1], whole} {
			t.Run(fmt.Sprintf("TLS %v, %d bytes", secure, len(said)), func(t *testing.T) {
				cfg := &listener.Config{HandshakeTimeout: 100 * time.Millisecond}
				if said == whole {
					cfg.HandshakeTimeout = time.Second
				}
				if secure {
					cfg.TLS = server
				}
				l := listen(t, cfg)
				go readAll(l)
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if secure {
					c = tls.Client(c, clientTLS)
				}
				_, _ = io.WriteString(c, said)
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if said == whole {
					until(t, "it counts no more", func() bool { return l.Stats().Handshakes == 0 })
					_ = c.SetReadDeadline(time.Now().Add(cfg.HandshakeTimeout + 200*time.Millisecond))
				}
				if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) != (said == whole) {
					t.Errorf("got %v, want the end, or if all was said none", err)
				}
				until(t, "it is gone", func() bool { return l.Stats().Handshakes == 0 })
				if got := l.Stats().Refused.Broken; (got == 0) != (said == whole) {
					t.Errorf("got %d broken", got)
				}
			})
		}
	}
}

// readAll accepts connections and reads them, as gRPC does.
func readAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}()
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// poor is a port whose process has no file left while it is told so.
type poor struct {
	net.Listener

	files chan struct{} // a token for each
}

type poorConn struct {
	net.Conn

	port *poor
}

func (p *poor) Accept() (net.Conn, error) {
	select {
	case <-p.files:
	default:
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	c, err := p.Listener.Accept()
	return &poorConn{c, p}, err
}

func (c *poorConn) Close() error {
	if err := c.Conn.Close(); err != nil {
		return err
	}
	c.port.files <- struct{}{}
	return nil
}

// TestOutOfFiles lets the slowest handshake make room when no more files may be
// opened.
func TestOutOfFiles(t *testing.T) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const files = 4
	p := &poor{port, make(chan struct{}, files+1)}
	for range files {
		p.files <- struct{}{}
	}
	l := listener.Wrap(p, &listener.Config{HandshakeTimeout: time.Hour})
	defer l.Close()
	for range files {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if r := ask(t, l, upgrade+"\r\n"); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("got %d, want 101", r.StatusCode)
	}
	if got := l.Stats().Refused.Evicted; got < 1 || got > 2 { // one more, for the next to come
		t.Errorf("got %d evicted, want 1 or 2", got)
	}
}
