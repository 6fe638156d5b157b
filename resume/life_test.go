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

// events records what an Observer sees.
type events struct {
	mu sync.Mutex
	seen
}

type seen struct {
	cuts, resumed, lost int
	gap                 time.Duration // the longest
	replayed            int64
	err                 error
}

func (e *events) get() seen {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

func (e *events) observer() *Observer {
	change := func(f func()) {
		e.mu.Lock()
		defer e.mu.Unlock()
		f()
	}
	return &Observer{
		Cut: func(error) { change(func() { e.cuts++ }) },
		Resumed: func(after time.Duration, replayed int64) {
			change(func() {
				e.resumed++
				e.gap = max(e.gap, after)
				e.replayed += replayed
			})
		},
		Lost: func(err error) { change(func() { e.lost, e.err = e.lost+1, err }) },
	}
}

// TestWindow shows that both ends give up when the window ends, and say why.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all [2]events
		w := newWorld(t, "pipe", &Config{Observe: all[0].observer()}, &Config{Observe: all[1].observer()})
		defer w.end()
		errRefused := errors.New("connection refused")
		w.set(func() { w.refuse = errRefused })
		start := time.Now()
		w.cut()
		reads := []<-chan error{read(w.client), read(w.server)}
		for i, c := range []*Conn{w.client, w.server} {
			err := <-reads[i]
			var lost *LostError
			if !errors.As(err, &lost) || time.Since(start) != 2*time.Minute || lost.After != 2*time.Minute {
				t.Fatalf("got %v after %v, want a LostError after 2m0s", err, time.Since(start))
			}
			if i == 0 && !errors.Is(err, errRefused) {
				t.Errorf("got %v, want it to name the last attempt's error", err)
			}
			if _, err := c.Write([]byte("x")); !errors.As(err, &lost) {
				t.Errorf("got %v from Write, want the LostError", err)
			}
			<-c.Done()
			if seen := all[i].get(); seen.cuts != 1 || seen.resumed != 0 || seen.lost != 1 || !errors.As(seen.err, &lost) {
				t.Errorf("got %+v, want one cut and one loss observed", seen)
			}
		}
		if w.dials < 20 || w.dials > 120 {
			t.Errorf("got %d dials in 2 minutes, want some 50, with pauses up to 5s", w.dials)
		}
	})
}

// TestRefusedIsFinal shows that a server which does not know the session ends
// it at once.
func TestRefusedIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pipe", nil, nil)
		defer w.end()
		w.server.Abort()
		start := time.Now()
		_, err := w.client.Read(make([]byte, 1))
		if status(err) != 404 || time.Since(start) > time.Second {
			t.Errorf("got %v after %v, want a refusal with 404 at once", err, time.Since(start))
		}
	})
}

// TestResumed shows what is sent again and how it is observed.
func TestResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all events
		w := newWorld(t, "pipe", &Config{Observe: all.observer()}, nil)
		defer w.end()
		w.set(func() { w.refuse = errors.New("no way") })
		w.cut()
		if _, err := w.client.Write([]byte("hello")); err != nil { // without a carrier
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		w.set(func() { w.refuse = nil })
		b := make([]byte, 5)
		if _, err := io.ReadFull(w.server, b); err != nil || string(b) != "hello" {
			t.Errorf("got %q, %v, want hello", b, err)
		}
		if seen := all.get(); seen.cuts != 1 || seen.resumed != 1 || seen.lost != 0 || seen.gap < time.Minute || seen.gap > 65*time.Second {
			t.Errorf("got %+v, want one cut and one resumption after a minute", seen)
		}
	})
}

// busy is a refusal that asks to come back later, and notes when.
type busy struct {
	after time.Duration
	when  chan time.Time
}

func (busy) Error() string { return "busy" }

func (b busy) RetryAfter() (time.Duration, bool) {
	b.when <- time.Now()
	return b.after, true
}

// TestRetryAfter dials no sooner than a refusal asks, up to maxDelay.
func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Hour: maxDelay} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "pipe", nil, nil)
			defer w.end()
			refusal := busy{after, make(chan time.Time, 100)}
			w.set(func() { w.refuse = refusal })
			w.cut()
			if _, err := w.client.Write([]byte("hello")); err != nil { // which notices
				t.Fatal(err)
			}
			last := <-refusal.when
			for range 4 {
				now := <-refusal.when
				if pause := now.Sub(last); pause < want || pause > maxDelay {
					t.Errorf("asked for %v: dialled again after %v, want %v to %v", after, pause, want, maxDelay)
				}
				last = now
			}
		})
	}
}

// TestDrain shows that a new carrier takes over without a cut.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all [2]events
		w := newWorld(t, "pipe", &Config{Observe: all[0].observer()}, &Config{Observe: all[1].observer()})
		defer w.end()
		w.set(func() {
			w.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
				<-time.After(time.Millisecond) // as a way takes: who has asked for it is done then
				return dial(t.Context(), a)
			}
		})
		read(w.client)
		read(w.server)
		for range 3 {
			w.server.Drain()
			<-time.After(time.Second)
		}
		for i := range all {
			if e := all[i].get(); e.cuts != 0 || e.resumed != 3 || e.gap != 0 {
				t.Errorf("side %d: got %+v, want three takeovers without a gap", i, e)
			}
		}
	})
}

// TestSteadyAge shows that carriers which die at a steady age are replaced
// before, and no longer when they stop to die.
func TestSteadyAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age = 30 * time.Second
		var all events
		w := newWorld(t, "pipe", &Config{Observe: all.observer()}, nil)
		defer w.end()
		read(w.client)
		read(w.server)
		var immortal atomic.Bool
		w.set(func() {
			w.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
				c, n, err := dial(t.Context(), a)
				if !immortal.Load() {
					time.AfterFunc(age, func() { c.Close() })
				}
				return c, n, err
			}
		})
		w.cut() // its age is no sign
		<-time.After(3*age + time.Second)
		if n := all.get().cuts; n != 4 {
			t.Fatalf("got %d cuts, want 4", n)
		}
		<-time.After(13 * age)
		if seen := all.get(); seen.cuts != 4 || seen.resumed < 16 {
			t.Errorf("got %+v, want no cut any more, but takeovers", seen)
		}
		<-time.After(10 * age)
		if n := all.get().cuts; n != 5 {
			t.Errorf("got %d cuts, want one more, to see if carriers still die", n)
		}
		immortal.Store(true)
		<-time.After(30 * age)
		before := all.get().resumed
		<-time.After(30 * age)
		if seen := all.get(); seen.cuts > 6 || seen.resumed != before {
			t.Errorf("got %d cuts and %d takeovers, want carriers that live to be left alone", seen.cuts, seen.resumed-before)
		}
	})
}

// TestCloseWhileCut shows that what was written before Close arrives though
// there was no carrier then.
func TestCloseWhileCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pipe", nil, nil)
		defer w.end()
		w.cut()
		data := make([]byte, 100_000)
		w.server.Write(data)
		w.server.Close()
		got, err := io.ReadAll(w.client)
		if err != nil || len(got) != len(data) {
			t.Errorf("got %d bytes, %v, want all %d", len(got), err, len(data))
		}
		<-w.server.Done()
		synctest.Wait() // for who has sent the last bytes
		if n := w.server.out.used; n != 0 {
			t.Errorf("got %d bytes held after all was acknowledged, want 0", n)
		}
	})
}

// TestPeerEnds shows what a Conn does whose peer has closed.
func TestPeerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pipe", nil, nil)
		defer w.end()
		go func() {
			w.server.Write([]byte("bye"))
			w.server.Close()
		}()
		got, err := io.ReadAll(w.client)
		if err != nil || string(got) != "bye" {
			t.Errorf("got %q, %v, want bye", got, err)
		}
		if _, err := w.client.Write([]byte("x")); !errors.Is(err, errPeerEnded) {
			t.Errorf("got %v from Write, want %v", err, errPeerEnded)
		}
		<-w.server.Done()
		w.client.Close()
		<-w.client.Done()
	})
}

// TestAcksRide shows that of two sides that exchange few bytes now and then,
// acknowledgements go with these, and that a side which has nothing to send
// acknowledges all the same.
func TestAcksRide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pipe", nil, nil)
		defer w.end()
		var silent atomic.Bool
		go func() {
			for err := error(nil); err == nil; {
				var n int
				b := make([]byte, 100)
				if n, err = io.ReadFull(w.server, b); !silent.Load() {
					w.server.Write(b[:n])
				}
			}
		}()
		got := make(chan error, 1)
		go func() {
			for err := error(nil); err == nil; {
				_, err = io.ReadFull(w.client, make([]byte, 100))
				got <- err
			}
		}()
		const few = fewTimes * defaultAckDelay
		start, b := time.Now(), make([]byte, 100)
		for range 100 {
			<-time.After(75 * time.Millisecond)
			w.client.Write(b)
			if err := <-got; err != nil {
				t.Fatalf("got %v from Read, want nil", err)
			}
		}
		took := time.Since(start)
		for name, c := range map[string]*Conn{"client": w.client, "server": w.server} {
			rides := int(c.cur.Load().carrier.(*framed).rides.Load())
			least, most := int(took/(2*few)), int(took/few)
			if rides < least || rides > most {
				t.Errorf("got %d acknowledgements with other data from the %s in %v, want %d to %d", rides, name, took, least, most)
			}
		}
		silent.Store(true)
		w.client.Write(b)
		<-time.After(2 * few)
		synctest.Wait()
		w.client.mu.Lock()
		defer w.client.mu.Unlock()
		if w.client.out.used != 0 {
			t.Errorf("got %d bytes held after %v, want 0", w.client.out.used, 2*few)
		}
	})
}

// TestUnequalBuffers shows that a side whose buffer is less than what the peer
// acknowledges at once does not wait for the peer's timer.
func TestUnequalBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pipe", &Config{Buffer: 32 << 10}, &Config{Buffer: 1 << 20, AckDelay: time.Second})
		defer w.end()
		read(w.client)
		read(w.server)
		start := time.Now()
		if _, err := w.client.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("got 1 MiB written in %v, want it to ask every 2ms", took)
		}
	})
}
