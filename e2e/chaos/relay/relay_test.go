package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"culvert/e2e/chaos/proc"
)

// pair is a connection through a relay, with both of its ends.
type pair struct {
	t              *testing.T
	r              *Relay
	ln             net.Listener
	client, server *net.TCPConn
}

// newPair connects through a relay. The ends of the test, and the goroutines
// of the relay, are gone when the test is over.
func newPair(t *testing.T) *pair {
	t.Helper()
	before := runtime.NumGoroutine()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(ln.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, r: r, ln: ln}
	t.Cleanup(func() {
		_ = ln.Close()
		p.hangUp()
		r.Close()
		if n := proc.Left(before); n != 0 {
			t.Errorf("%d goroutines left", n)
		}
	})
	p.connect()
	return p
}

func (p *pair) hangUp() {
	closeSide(p.client, false)
	closeSide(p.server, false)
}

func (p *pair) connect() {
	p.t.Helper()
	c, err := net.Dial("tcp", p.r.Addr())
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := p.ln.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.client, p.server = c.(*net.TCPConn), s.(*net.TCPConn)
	deadline := time.Now().Add(10 * time.Second)
	_ = p.client.SetDeadline(deadline)
	_ = p.server.SetDeadline(deadline)
}

// greet sends the heads of a handshake and a frame each way, and returns the
// connection when the relay knows it.
func (p *pair) greet() *link {
	p.t.Helper()
	for _, w := range []struct{ from, to *net.TCPConn }{{p.client, p.server}, {p.server, p.client}} {
		p.pass(w.from, w.to, "x\r\n\r\n"+string(frame(3)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	l, err := p.r.await(ctx)
	if err != nil {
		p.t.Fatalf("not ready: %v", err)
	}
	return l
}

// pass verifies that what is sent arrives.
func (p *pair) pass(from, to *net.TCPConn, text string) {
	p.t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		p.t.Fatalf("%q arrived as %q: %v", text, got, err)
	}
}

// frame is an unmasked binary frame with n bytes of payload.
func frame(n int) []byte {
	f := make([]byte, 4+n)
	f[0], f[1], f[2], f[3] = 0x82, 126, byte(n>>8), byte(n)
	return f
}

// ends verifies that a side is closed: with a RST, or without one.
func (p *pair) ends(c *net.TCPConn, hard bool) (n int64) {
	p.t.Helper()
	n, err := io.Copy(io.Discard, c)
	if hard && !errors.Is(err, syscall.ECONNRESET) || !hard && err != nil {
		p.t.Errorf("hard %t: read %d bytes and then %v", hard, n, err)
	}
	return n
}

// over verifies that a side is closed in any way.
func (p *pair) over(c *net.TCPConn) (n int64) {
	p.t.Helper()
	n, err := io.Copy(io.Discard, c)
	if errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
		p.t.Errorf("open after %d bytes", n)
	}
	return n
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// quiet verifies that a side is open and nothing comes.
func (p *pair) quiet(c *net.TCPConn, d time.Duration) {
	p.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(d))
	n, err := c.Read(make([]byte, 1))
	if n != 0 || !isTimeout(err) {
		p.t.Errorf("read %d bytes and %v, not a timeout", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
}

// cut cuts in the background, and returns how to wait for its end.
func (p *pair) cut(l *link, k Kind) (end func() Record) {
	var rec Record
	var ok bool
	var wg sync.WaitGroup
	wg.Go(func() { rec, ok = p.r.cut(l, k) })
	return func() Record {
		p.t.Helper()
		wg.Wait()
		if !ok || rec.Kind != k || rec.Seen.Before(rec.Start) {
			p.t.Errorf("cut(%v) = %+v, %t", k, rec, ok)
		}
		return rec
	}
}

func TestForwards(t *testing.T) {
	p := newPair(t)
	l := p.greet()
	if n := p.r.Carried(); n != 1 {
		t.Errorf("%d connections carried something, not 1", n)
	}
	text := string(make([]byte, 300<<10))
	p.pass(p.client, p.server, text)
	p.pass(p.server, p.client, text)
	_ = p.client.CloseWrite()
	p.ends(p.server, false)
	p.pass(p.server, p.client, "still open")
	if _, ok := p.r.cut(l, reset); ok {
		t.Error("a connection that ended was cut")
	}
	_ = p.server.CloseWrite()
	p.ends(p.client, false)
}

func TestPassesResets(t *testing.T) {
	p := newPair(t)
	p.greet()
	closeSide(p.client, true)
	p.ends(p.server, true)
}

func TestNotReadyBeforeBothWays(t *testing.T) {
	p := newPair(t)
	p.pass(p.client, p.server, "GET\r\n\r\n"+string(frame(3)))
	p.pass(p.server, p.client, "101\r\n\r\n")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.r.await(ctx); err == nil {
		t.Error("ready without a byte of the server's after the handshake")
	}
}
