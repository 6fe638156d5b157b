package mux

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"testing"
	"time"
)

// blocked returns a stream over a pipe whose far end reads nothing until it is
// told to, and that end.
func blocked(t *testing.T) (net.Conn, net.Conn, *Session) {
	t.Helper()
	near, far := net.Pipe()
	s, err := Client(near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close(); _ = s.Close() })
	opened := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(far, make([]byte, headerSize)) // of the SYN
		opened <- err
	}()
	st, err := s.Open(t.Context())
	if err == nil {
		err = <-opened
	}
	if err != nil {
		t.Fatal(err)
	}
	return st, far, s
}

// TestWriteFreed frees a Write that the connection beneath holds up when its
// deadline is set, or the stream closed, and sends the frame whole.
func TestWriteFreed(t *testing.T) {
	for name, free := range map[string]struct {
		do   func(net.Conn) error
		want error
	}{
		"deadline":      {func(c net.Conn) error { return c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		"past deadline": {func(c net.Conn) error { return c.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"close":         {net.Conn.Close, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			st, far, s := blocked(t)
			body := bytes.Repeat([]byte("body"), 1000)
			ended := make(chan error, 1)
			go func() {
				_, err := st.Write(body)
				ended <- err
			}()
			head := make([]byte, 1)
			if _, err := io.ReadFull(far, head); err != nil { // the frame has begun
				t.Fatal(err)
			}
			if err := free.do(st); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, free.want) {
					t.Errorf("got %v, want %v", err, free.want)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("Write is still blocked after 5s")
			}
			copy(body, "changed") // it is the caller's again
			got := make([]byte, headerSize-1+len(body))
			if _, err := io.ReadFull(far, got); err != nil || string(got[headerSize-1:headerSize+3]) != "body" || s.Err() != nil {
				t.Errorf("got %.20q, %v, and the session's %v, want the whole frame", got, err, s.Err())
			}
		})
	}
}

// TestWriteAgain writes after a deadline that was renewed.
func TestWriteAgain(t *testing.T) {
	st, far, _ := blocked(t)
	ended := make(chan error, 1)
	go func() {
		_, err := st.Write([]byte("one"))
		ended <- err
	}()
	_, _ = io.ReadFull(far, make([]byte, 1))
	_ = st.SetWriteDeadline(time.Unix(1, 0))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want the deadline", err)
	}
	_ = st.SetWriteDeadline(time.Time{})
	go func() {
		_, err := st.Write([]byte("two"))
		ended <- err
	}()
	got := make([]byte, headerSize-1+3+headerSize+3)
	if _, err := io.ReadFull(far, got); err != nil || !bytes.HasSuffix(got, []byte("two")) {
		t.Errorf("got %q, %v, want both frames", got, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// TestDeclaredLength takes frames that declare up to 2^32-1 bytes: they exceed the
// window, or belong to no stream and are dropped, on 32-bit systems too.
func TestDeclaredLength(t *testing.T) {
	for _, length := range []uint32{math.MaxInt32 - 4, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
		near, far := net.Pipe()
		s, err := Client(near, nil)
		if err != nil {
			t.Fatal(err)
		}
		var frame [headerSize + 100]byte
		binary.BigEndian.PutUint32(frame[4:], 99) // a stream that is not there any more
		binary.BigEndian.PutUint32(frame[8:], length)
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := far.Write(frame[:]); err != nil {
			t.Errorf("length %d: got %v, want the frame to be read", length, err)
		}
		_ = far.Close()
		_ = s.Close()
	}
}

// TestWideWindow lends a stream of a SessionWindow that does not fit 32 bits, and
// writes to a peer whose window does not fit an int of 32 bits.
func TestWideWindow(t *testing.T) {
	if math.MaxInt > math.MaxInt32 {
		wide := int64(1) << 33
		s := &Session{cfg: Config{SessionWindow: int(wide)}}
		if got := s.lend(1 << 20); got != 1<<20 {
			t.Errorf("got %d lent, want 1 MiB", got)
		}
	}
	st := &stream{}
	st.sendWindow.Store(math.MaxUint32)
	if got := st.takeWindow(1, maxChunk); got != maxChunk {
		t.Errorf("got %d, want a whole frame", got)
	}
}

// TestUnclog counts only the time that was waited in one go.
func TestUnclog(t *testing.T) {
	b := NewBudget(1)
	s := &Session{cfg: Config{Budget: b}}
	s.hold(2 << 20)
	if !s.isClogged() {
		t.Fatal("got a session that is not clogged")
	}
	s.clogged = clogLimit - 1
	s.hold(-2 << 20)
	if s.isClogged() || s.clogged != 0 {
		t.Errorf("got %v that still count, want none", s.clogged)
	}
}

// TestBudgetGivenBack gives back what came for streams that nobody has taken when
// the session ends.
func TestBudgetGivenBack(t *testing.T) {
	b := NewBudget(1 << 30)
	near, far := net.Pipe()
	server, err := Server(near, &Config{Budget: b})
	if err != nil {
		t.Fatal(err)
	}
	client, err := Client(far, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := client.Open(t.Context())
	if err == nil {
		_, err = st.Write(make([]byte, 10_000))
	}
	if err == nil {
		_, err = client.Ping(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.Used() == 0 {
		t.Fatal("got nothing held, want what waits for Accept")
	}
	_ = client.Close()
	_ = server.Close()
	if got := b.Used(); got != 0 {
		t.Errorf("got %d bytes held after the end, want 0", got)
	}
}
