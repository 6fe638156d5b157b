package mux_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v3/test"

	"culvert/mux"
)

// TestFloods sends frames that carry nothing: a burst passes at once, and then
// so many a second.
func TestFloods(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame []byte
		want  time.Duration // that 20,000 take
	}{
		{"pings", frame(0, 2, 1, 0, 7), 1500 * time.Millisecond},
		{"empty data", frame(0, 0, 0, 1, 0), 1500 * time.Millisecond},
		{"small windows", frame(0, 1, 0, 1, 1), 1500 * time.Millisecond},
		{"data of no stream", frame(0, 0, 0, 9, 1, 'x'), 1500 * time.Millisecond},
		{"streams", append(frame(0, 1, 1, 1, 0), frame(0, 1, 8, 1, 0)...), 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, peer, _, read := raw(t, &mux.Config{Handle: func(_ *mux.Session, c net.Conn) { _ = c.Close() }})
				start := time.Now()
				_, _ = peer.Write(frame(0, 1, 1, 1, 0))
				for i := range 20_000 {
					if tt.name == "streams" { // another number each
						id := uint32(2*i + 3)
						tt.frame = append(frame(0, 1, 1, id, 0), frame(0, 1, 8, id, 0)...)
					}
					if _, err := peer.Write(tt.frame); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(start); took < tt.want || took > tt.want*3/2 {
					t.Errorf("20,000 took %v, want about %v", took, tt.want)
				}
				_ = s.Close()
				<-read
				_ = peer.Close()
			})
		})
	}
}

// TestBudget fills the memory of several sessions with data that nobody reads:
// the one that holds most is ended, and the others go on.
func TestBudget(t *testing.T) {
	defer test.CheckRoutines(t)()
	budget := mux.NewBudget(4 << 20)
	var ends []func()
	var sessions []*mux.Session
	var held []net.Conn
	for _, size := range []int{500 << 10, 3 << 20, 700 << 10} {
		s, peer, end := bare(t, &mux.Config{Budget: budget})
		ends = append(ends, end)
		sessions = append(sessions, s)
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_, _ = peer.Write(frame(0, 1, 1, 1, 0))
		st, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, st)
		_, _ = peer.Write(frame(0, 0, 0, 1, uint32(size), make([]byte, size)...))
	}
	s, peer, end := bare(t, &mux.Config{Budget: budget})
	ends = append(ends, end)
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	_, _ = peer.Write(frame(0, 1, 1, 1, 0))
	st, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = peer.Write(frame(0, 0, 0, 1, 100<<10, bytes.Repeat([]byte{1}, 100<<10)...)) }()
	<-sessions[1].Done()
	if _, err := io.ReadFull(st, make([]byte, 100<<10)); err != nil {
		t.Errorf("got %v from the session that came last, want all that was sent", err)
	}
	for _, i := range []int{0, 2} {
		if err := sessions[i].Err(); err != nil {
			t.Errorf("session %d: got %v, want that it goes on", i, err)
		}
	}
	for _, st := range append(held, st) {
		_ = st.Close()
	}
	if n := budget.Used(); n != 0 {
		t.Errorf("got %d bytes in use, want none once all streams are closed", n)
	}
	for _, end := range ends {
		end()
	}
}
