package sock_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"culvert/internal/sock"
	"culvert/internal/testnet"
)

// conn is a connection that is read and written by what New returns for it.
type conn struct {
	net.Conn

	sock     io.ReadWriter
	rmu, wmu sync.Mutex
}

func (c *conn) Read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	return c.sock.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.sock.Write(p)
}

// pair returns both ends of a TCP connection.
func pair() (near, far *conn, stop func(), err error) {
	c, s, err := testnet.Pair("tcp")
	if err != nil {
		return nil, nil, nil, err
	}
	return &conn{Conn: c, sock: sock.New(c)}, &conn{Conn: s, sock: sock.New(s)}, func() { _ = c.Close(); _ = s.Close() }, nil
}

func mustPair(t *testing.T) (near, far *conn) {
	t.Helper()
	near, far, stop, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return near, far
}

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) { return pair() })
}

// TestSizes sends what is around the limit of what counts as few bytes, and much
// more than a socket takes at once.
func TestSizes(t *testing.T) {
	for _, n := range []int{1, 4<<10 - 1, 4 << 10, 4<<10 + 1, 16 << 20} {
		near, far := mustPair(t)
		want := bytes.Repeat([]byte("culvert"), n/7+1)[:n]
		wrote := make(chan error, 1)
		go func() {
			m, err := near.Write(want)
			if m != n {
				err = errors.Join(err, io.ErrShortWrite)
			}
			wrote <- errors.Join(err, near.Close())
		}()
		got, err := io.ReadAll(far)
		if err := errors.Join(err, <-wrote); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes came as %d, or as others", n, len(got))
		}
	}
}

// TestErrors has errors be those of package net.
func TestErrors(t *testing.T) {
	p := make([]byte, 100)
	for name, c := range map[string]struct {
		do   func(near, far *conn) error
		want error
		op   string
	}{
		"reset": {func(near, far *conn) error {
			_ = far.Conn.(*net.TCPConn).SetLinger(0)
			_ = far.Close()
			_, err := near.Read(p)
			return err
		}, syscall.ECONNRESET, "read"},
		"write after reset": {func(near, far *conn) error {
			_ = far.Conn.(*net.TCPConn).SetLinger(0)
			_ = far.Close()
			_, _ = near.Read(p)
			_, err := near.Write(p)
			return err
		}, syscall.EPIPE, "write"},
		"read after close": {func(near, _ *conn) error {
			_ = near.Close()
			_, err := near.Read(p)
			return err
		}, net.ErrClosed, "read"},
		"write after close": {func(near, _ *conn) error {
			_ = near.Close()
			_, err := near.Write(p)
			return err
		}, net.ErrClosed, "write"},
		"read deadline": {func(near, _ *conn) error {
			_ = near.SetReadDeadline(time.Unix(1, 0))
			_, err := near.Read(p)
			return err
		}, os.ErrDeadlineExceeded, "read"},
	} {
		near, far := mustPair(t)
		err := c.do(near, far)
		var e *net.OpError
		if !errors.Is(err, c.want) || !errors.As(err, &e) || e.Op != c.op || !strings.Contains(err.Error(), "->") {
			t.Errorf("%s: got %v, want a net.OpError of %s that is %v, with both addresses", name, err, c.op, c.want)
		}
	}
}

// TestWriteDeadline counts what was written when the deadline passes.
func TestWriteDeadline(t *testing.T) {
	near, far := mustPair(t)
	_ = near.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := near.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a deadline", err)
	}
	_ = near.Close()
	if got, err := io.Copy(io.Discard, far); err != nil || int(got) != n || n == 0 {
		t.Errorf("%d bytes were written, %d came (%v)", n, got, err)
	}
}

// TestOther leaves alone what is no TCP connection.
func TestOther(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := sock.New(a); got != a {
		t.Errorf("a pipe became a %T", got)
	}
}
