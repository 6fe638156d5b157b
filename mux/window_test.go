package mux_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/pion/transport/v3/test"

	"culvert/mux"
)

// grants reads the frames that a session sends, up to and including the answer
// to a ping, and returns by how much each stream's window was widened.
func grants(t *testing.T, peer net.Conn) map[uint32]int {
	t.Helper()
	sums := map[uint32]int{}
	go func() { _, _ = peer.Write(frame(0, 2, 1, 0, 99)) }()
	for {
		var h [12]byte
		if _, err := io.ReadFull(peer, h[:]); err != nil {
			t.Error(err)
			return sums
		}
		id, n := binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:])
		switch {
		case h[1] == 2 && n == 99:
			return sums
		case h[1] == 1:
			sums[id] += int(n)
		}
	}
}

// bare returns a session, the other end of its connection, and what closes both.
func bare(t *testing.T, cfg *mux.Config) (s *mux.Session, peer net.Conn, end func()) {
	t.Helper()
	a, b := net.Pipe()
	s, err := mux.Server(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, a, func() {
		_ = s.Close()
		_ = a.Close()
	}
}

// TestSessionWindow opens as many streams as there may be: their windows
// together are what the session allows, and what a stream took comes back.
func TestSessionWindow(t *testing.T) {
	defer test.CheckRoutines(t)()
	const all, each = 16 << 20, 4<<20 - 256<<10
	s, peer, end := bare(t, &mux.Config{SessionWindow: all})
	defer end()
	open := func(from, to uint32) map[uint32]int {
		var b []byte
		for id := from; id <= to; id += 2 {
			b = append(b, frame(0, 1, 1, id, 0)...)
		}
		go func() { _, _ = peer.Write(b) }()
		for id := from; id <= to; id += 2 {
			if _, err := s.Accept(); err != nil {
				t.Error(err)
			}
		}
		return grants(t, peer)
	}
	sum := 0
	given := open(1, 511)
	for _, n := range given {
		sum += n
	}
	if given[1] != each || given[3] != each || sum > all || sum < all-256 {
		t.Errorf("got windows of %d and %d, %d together, want %d for the first two, about %d together",
			given[1], given[3], sum, each, all)
	}
}

// TestWindowComesBack opens and closes streams one after the other: each gets
// the same window, since the ones before gave theirs back.
func TestWindowComesBack(t *testing.T) {
	defer test.CheckRoutines(t)()
	s, peer, end := bare(t, &mux.Config{SessionWindow: 8 << 20})
	defer end()
	for id := uint32(1); id < 41; id += 2 {
		go func() { _, _ = peer.Write(append(frame(0, 1, 1, id, 0), frame(0, 1, 4, id, 0)...)) }()
		st, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := grants(t, peer)[id]; got != 4<<20-256<<10 {
			t.Fatalf("stream %d: got a window of %d more", id, got)
		}
		_ = st.Close()
	}
}

// TestResetIsHeld resets streams that nobody has read: they count until this
// side closes them.
func TestResetIsHeld(t *testing.T) {
	defer test.CheckRoutines(t)()
	s, peer, end := bare(t, &mux.Config{MaxStreams: 2})
	defer end()
	var b []byte
	for id := uint32(1); id <= 5; id += 2 {
		b = append(b, frame(0, 1, 1, id, 0)...)
		b = append(b, frame(0, 0, 0, id, 1, 'x')...)
		b = append(b, frame(0, 1, 8, id, 0)...)
	}
	go func() { _, _ = peer.Write(b) }()
	grants(t, peer)
	for range 2 {
		st, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := st.Read(make([]byte, 2)); n != 1 {
			t.Errorf("got %d bytes, %v, want what came before the reset", n, err)
		}
		_ = st.Close()
	}
	go func() { _, _ = peer.Write(frame(0, 1, 1, 7, 0)) }()
	st, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := grants(t, peer)[7]; !ok {
		t.Error("got another stream than the seventh: the fifth was not refused")
	}
	_ = st.Close()
}

// TestWindowGrows reads a stream as fast as it comes: its window doubles up to
// the most. One that nobody reads stays as it is.
func TestWindowGrows(t *testing.T) {
	defer test.CheckRoutines(t)()
	const chunk, chunks = 64 << 10, 64
	s, peer, end := bare(t, &mux.Config{StreamWindow: 256 << 10, MaxStreamWindow: 1 << 20})
	defer end()
	go func() { _, _ = peer.Write(append(frame(0, 1, 1, 1, 0), frame(0, 1, 1, 3, 0)...)) }()
	st, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	given := map[uint32]int{}
	for range chunks {
		go func() { _, _ = peer.Write(frame(0, 0, 0, 1, chunk, make([]byte, chunk)...)) }()
		if _, err := io.ReadFull(st, make([]byte, chunk)); err != nil {
			t.Fatal(err)
		}
		for id, n := range grants(t, peer) {
			given[id] += n
		}
	}
	ahead := 256<<10 + given[1] - chunks*chunk
	if ahead > 1<<20 || ahead < 3<<18 || given[3] != 0 {
		t.Errorf("got a window of %d, and %d more for the other stream, want 1 MiB of which up to a quarter was read, and 0",
			ahead, given[3])
	}
}
