package resume

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// storm is a hop that accepts each carrier and does something to it.
type storm struct {
	*world

	onto  atomic.Pointer[func(c Carrier)]
	times atomic.Pointer[[]time.Time] // of the dials; changed by one goroutine at a time
}

func newStorm(t *testing.T, client *Config, onto func(s *storm, c Carrier)) *storm {
	s := &storm{world: newWorld(t, "pipe", client, nil)}
	s.times.Store(&[]time.Time{time.Now()}) // that of the first carrier
	f := func(c Carrier) { onto(s, c) }
	s.onto.Store(&f)
	s.set(func() {
		s.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
			<-time.After(time.Millisecond)
			times := append(*s.times.Load(), time.Now())
			s.times.Store(&times)
			c, n, err := dial(t.Context(), a)
			if err == nil {
				(*s.onto.Load())(c)
			}
			return c, n, err
		}
	})
	return s
}

// most returns how many dials there were within any window of that length.
func most(times []time.Time, window time.Duration) int {
	n, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) >= window {
			from++
		}
		n = max(n, i-from+1)
	}
	return n
}

// send writes n bytes each time until c has ended.
func send(c *Conn, n int, each time.Duration) {
	for err := error(nil); err == nil; <-time.After(each) {
		_, err = c.Write(make([]byte, n))
	}
}

// TestStorm shows that a hop or a server which ends each carrier soon sees no
// storm of dials.
func TestStorm(t *testing.T) {
	for _, tt := range []struct {
		name    string
		onto    func(s *storm, c Carrier)
		traffic int  // bytes that the server sends each 10 ms
		most    int  // dials within 30 s
		lost    bool // the stream does not outlive the window
	}{
		{"cut at once", func(_ *storm, c Carrier) { c.Close() }, 0, 12, true},
		{"cut at once under load", func(_ *storm, c Carrier) { c.Close() }, 100, 12, true},
		{"cut after a second", func(_ *storm, c Carrier) { time.AfterFunc(time.Second, func() { c.Close() }) }, 0, 12, true},
		{"cut after a few bytes", func(_ *storm, c Carrier) { time.AfterFunc(11*time.Millisecond, func() { c.Close() }) }, 10, 12 + 3000*10/upgradeBytes, false},
		{"cut at a steady age", func(_ *storm, c Carrier) { time.AfterFunc(1500*time.Millisecond, func() { c.Close() }) }, 1, 12 + 3000/upgradeBytes + 1, false},
		{"drain at once", func(s *storm, _ Carrier) { time.AfterFunc(time.Millisecond, s.server.Drain) }, 0, 12, false},
		{"drain under load", func(s *storm, _ Carrier) { time.AfterFunc(time.Millisecond, s.server.Drain) }, 1000, 12, false},
		{"drain and cut", func(s *storm, c Carrier) {
			time.AfterFunc(time.Millisecond, s.server.Drain)
			time.AfterFunc(time.Second, func() { c.Close() })
		}, 0, 12, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStorm(t, nil, tt.onto)
				var traffic sync.WaitGroup
				defer traffic.Wait()
				defer s.end()
				ended := read(s.client)
				read(s.server)
				if tt.traffic > 0 {
					traffic.Go(func() { send(s.server, tt.traffic, 10*time.Millisecond) })
				}
				<-time.After(11 * time.Second) // the first carrier was of use
				start := time.Now()
				if s.server.Drain(); tt.lost {
					s.cut()
				}
				select {
				case err := <-ended:
					var lost *LostError
					if after := time.Since(start); !tt.lost || !errors.As(err, &lost) || after < 2*time.Minute || after > 2*time.Minute+11*time.Second {
						t.Errorf("got %v after %v, want a LostError after 2m: %t", err, after, tt.lost)
					}
				case <-time.After(5 * time.Minute):
					if tt.lost {
						t.Error("got a stream that outlives its window without a carrier of use")
					}
				}
				times := *s.times.Load()
				if n := most(times, 30*time.Second); n > tt.most || len(times) < 8 {
					t.Errorf("got %d dials, %d within 30s, want no more than %d", len(times), n, tt.most)
				}
			})
		})
	}
}

// TestUsefulCuts shows that carriers which are cut soon, but moved the stream,
// follow one another without a pause.
func TestUsefulCuts(t *testing.T) {
	for _, up := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newStorm(t, nil, func(_ *storm, c Carrier) { time.AfterFunc(20*time.Millisecond, func() { c.Close() }) })
			var traffic sync.WaitGroup
			defer traffic.Wait()
			defer s.end()
			from, to := s.server, s.client
			if up {
				from, to = to, from
			}
			read(to)
			read(from)
			traffic.Go(func() { send(from, 1000, time.Millisecond) })
			<-time.After(time.Second)
			s.cut()
			<-time.After(10 * time.Second)
			if n := len(*s.times.Load()); n < 400 {
				t.Errorf("up %t: got %d carriers of 20ms in 10s, want some 470", up, n)
			}
			if n, err := s.client.Trouble(); n > 1 {
				t.Errorf("up %t: got %d failures, %v, want none", up, n, err)
			}
		})
	}
}

// TestTrouble shows what the client tells of carriers that are of no use.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		cfg := &Config{Observe: &Observer{Useless: func(n int, err error) {
			var useless *UselessError
			if !errors.As(err, &useless) || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("got %v, want a UselessError", err)
			}
			told.Store(int32(n))
		}}}
		s := newStorm(t, cfg, func(_ *storm, c Carrier) { c.Close() })
		defer s.end()
		read(s.client)
		read(s.server)
		<-time.After(11 * time.Second)
		if n, err := s.client.Trouble(); n != 0 || err != nil {
			t.Errorf("got %d, %v from a carrier that has lasted, want 0, nil", n, err)
		}
		s.cut()
		<-time.After(10 * time.Second)
		n, err := s.client.Trouble()
		var useless *UselessError
		if n < 4 || int(told.Load()) != n || !errors.As(err, &useless) {
			t.Errorf("got %d failures, %v, and %d told of, want some", n, err, told.Load())
		}
		s.set(func() { s.refuse = errors.New("no way") })
		<-time.After(20 * time.Second)
		if more, err := s.client.Trouble(); more <= n || !errors.Is(err, s.refuse) {
			t.Errorf("got %d failures, %v, want more than %d, dials that failed too", more, err, n)
		}
		s.set(func() { s.refuse = nil })
		good := func(Carrier) {}
		s.onto.Store(&good)
		<-time.After(30 * time.Second)
		if n, err := s.client.Trouble(); n != 0 || err != nil {
			t.Errorf("got %d, %v from a carrier that has lasted, want 0, nil", n, err)
		}
	})
}

// TestRenewalFails shows that a server whose drains lead to nothing sees no
// storm of dials, and that what it cuts is resumed at once nevertheless.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all events
		w := newWorld(t, "pipe", &Config{Observe: all.observer()}, nil)
		defer w.end()
		read(w.client)
		read(w.server)
		<-time.After(11 * time.Second)
		w.set(func() { w.refuse, w.dials = errors.New("busy"), 0 })
		for range 3000 {
			w.server.Drain()
			<-time.After(10 * time.Millisecond)
		}
		w.set(func() {
			if w.dials < 5 || w.dials > 12 {
				t.Errorf("got %d dials in 30s of drains, want 5 to 12", w.dials)
			}
			w.refuse = nil
		})
		w.cut()
		<-time.After(10 * time.Millisecond)
		if seen := all.get(); seen.resumed != 1 || seen.gap > time.Millisecond {
			t.Errorf("got %+v, want it resumed without a pause", seen)
		}
	})
}

// deaf is a carrier whose hop swallows what is large, and passes what comes.
type deaf struct{ Carrier }

func (d deaf) Write(p []byte) (int, error) {
	if len(p) > 8<<10 {
		return len(p), nil
	}
	return d.Carrier.Write(p)
}

// TestStuck shows that carriers are counted on which nothing large arrives, though
// the peer's bytes do.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStorm(t, nil, nil)
		var traffic sync.WaitGroup
		defer traffic.Wait()
		defer s.end()
		var stuck atomic.Int32
		s.set(func() {
			s.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
				c, n, err := dial(t.Context(), a)
				stuck.Store(int32(a.Stuck()))
				if a.Stuck() < 3 {
					c = deaf{c}
				}
				time.AfterFunc(50*time.Millisecond, func() { c.Close() })
				return c, n, err
			}
		})
		read(s.client)
		got := make(chan error)
		go func() {
			_, err := io.ReadFull(s.server, make([]byte, 100_000))
			got <- err
		}()
		traffic.Go(func() { send(s.server, 500, time.Millisecond) })
		s.cut()
		<-time.After(time.Millisecond)
		if _, err := s.client.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil || stuck.Load() != 3 {
			t.Errorf("got %v and %d carriers that were stuck, want nil and 3", err, stuck.Load())
		}
	})
}
