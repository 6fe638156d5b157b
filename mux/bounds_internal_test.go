package mux

import (
	"encoding/binary"
	"io"
	"math"
	"net"
	"testing"
)

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
