package mux_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

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
		{"streams", append(frame(0, 1, 1, 1, 0), frame(0, 1, 8, 1, 0)...), 30 * time.Second},
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

// TestBudget fills the memory that sessions share with data that nobody reads:
// who holds much is not read from, until somebody reads or it is ended, and who
// holds little goes on.
func TestBudget(t *testing.T) {
	for _, reads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			budget := mux.NewBudget(2 << 20)
			hog, hogPeer, end := bare(t, &mux.Config{Budget: budget})
			defer end()
			other, otherPeer, endOther := bare(t, &mux.Config{Budget: budget})
			defer endOther()
			held, st := open(t, hog, hogPeer), open(t, other, otherPeer)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for range 30 {
					_, _ = hogPeer.Write(frame(0, 0, 0, 1, 100<<10, make([]byte, 100<<10)...))
				}
			}()
			<-time.After(time.Second)
			if n := budget.Used(); n < 2<<20 || n > 2<<20+256<<10 {
				t.Errorf("got %d bytes held, want 2 MiB and what one read brings", n)
			}
			go func() { _, _ = otherPeer.Write(frame(0, 0, 0, 1, 100<<10, bytes.Repeat([]byte{1}, 100<<10)...)) }()
			if _, err := io.ReadFull(st, make([]byte, 100<<10)); err != nil {
				t.Errorf("got %v from who holds little, want all that was sent", err)
			}
			if reads {
				if _, err := io.ReadFull(held, make([]byte, 3000<<10)); err != nil {
					t.Errorf("got %v from who reads again, want all that was sent", err)
				}
			} else {
				<-time.After(11 * time.Second)
				if hog.Err() == nil {
					t.Error("got no end of who does not read for 10 s")
				}
			}
			<-sent
			_ = held.Close()
			_ = st.Close()
			if n := budget.Used(); n != 0 {
				t.Errorf("got %d bytes held, want none once all streams are closed", n)
			}
		})
	}
}

// open has the peer of s open stream 1.
func open(t *testing.T, s *mux.Session, peer net.Conn) net.Conn {
	t.Helper()
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	go func() { _, _ = peer.Write(frame(0, 1, 1, 1, 0)) }()
	c, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
