package resume

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// TestUseless has carriers accepted and cut at once: their number is bounded, the
// Conn says so, and the stream ends a window after the last one that was of use.
func TestUseless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all events
		w := newWorld(t, "pipe", &Config{Observe: all.observer(), Window: time.Minute}, nil)
		defer w.end()
		read(w.client)
		dials := 0
		w.set(func() {
			w.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
				w.set(func() { dials++ })
				c, n, err := dial(t.Context(), a)
				if err == nil {
					c.Close()
				}
				return c, n, err
			}
		})
		start := time.Now()
		w.cut()
		<-time.After(30 * time.Second)
		w.set(func() {
			if dials < 5 || dials > 12 {
				t.Errorf("got %d carriers in 30s, want 12 at most", dials)
			}
		})
		if err := w.client.Trouble(); err == nil {
			t.Error("got no trouble, want that carriers are of no use")
		}
		<-time.After(35 * time.Second)
		if got := all.get(); got.lost != 1 || w.client.Err() == nil {
			t.Errorf("got %+v and %v after %v, want the stream lost within its window", got, w.client.Err(), time.Since(start))
		}
	})
}

// TestDrainStorm has the server ask for another carrier as soon as it has one.
func TestDrainStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "pipe", nil, nil)
		defer w.end()
		read(w.client)
		read(w.server)
		dials := 0
		w.set(func() {
			w.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
				w.set(func() { dials++ })
				c, n, err := dial(t.Context(), a)
				w.server.Drain()
				return c, n, err
			}
		})
		w.server.Drain()
		<-time.After(30 * time.Second)
		w.set(func() {
			if dials < 5 || dials > 12 {
				t.Errorf("got %d carriers in 30s, want 12 at most", dials)
			}
		})
		if err := w.client.Err(); err != nil {
			t.Errorf("got %v, want a stream that goes on", err)
		}
	})
}

// TestUsefulStorm cuts carriers as soon as each has moved the stream: the next one
// comes at once, up to a rate.
func TestUsefulStorm(t *testing.T) {
	p := pacer{}
	now := time.Unix(1e9, 0)
	dialled := 0
	for end := now.Add(time.Minute); now.Before(end); {
		p.ended(now, true, io.EOF)
		dialled++
		now = now.Add(max(time.Millisecond, p.notBefore.Sub(now)))
	}
	if want := quickBurst + int(time.Minute/quickPause); dialled < quickBurst || dialled > want+1 {
		t.Errorf("got %d carriers in a minute, want %d at most", dialled, want)
	}
	now = now.Add(time.Minute)
	if p.ended(now, true, io.EOF); p.notBefore.After(now) {
		t.Errorf("after a quiet minute: got a pause of %v, want none", p.notBefore.Sub(now))
	}
}

// TestUsefulAfterUseless begins anew with short pauses.
func TestUsefulAfterUseless(t *testing.T) {
	p := pacer{}
	now := time.Unix(1e9, 0)
	for n := range 20 {
		p.ended(now, false, io.EOF)
		limit := min(uselessBase<<min(n, 10), uselessMax)
		if got := p.notBefore.Sub(now); got < limit/2 || got > limit {
			t.Errorf("after %d: got a pause of %v, want up to %v and half of it at least", n+1, got, limit)
		}
	}
	if p.ended(now, true, io.EOF); p.useless != 0 || p.notBefore.After(now) {
		t.Errorf("got %d useless ones and a pause of %v, want none", p.useless, p.notBefore.Sub(now))
	}
}

// TestElsewhere finds the server that has the session among others, however a
// balancer deals connections out, and gives up soon if it is not there.
func TestElsewhere(t *testing.T) {
	deal := map[string]func(n, servers int) int{
		"in turn":   func(n, servers int) int { return (n + 1) % servers },
		"by chance": func(n, servers int) int { return (n*7919 + n*n*31 + 17) % 1009 % servers },
	}
	for name, next := range deal {
		for servers := 2; servers <= 10; servers++ {
			now := time.Unix(1e9, 0)
			var e elsewhere
			for n := 0; next(n, servers) != 0; n++ {
				wait, ok := e.next(now, fmt.Sprint(next(n, servers)))
				if !ok {
					t.Errorf("%d servers, %s: gave up after %d attempts", servers, name, e.tries)
					break
				}
				now = now.Add(wait)
			}
		}
	}
	for others := 1; others <= 9; others++ {
		begin := time.Unix(1e9, 0)
		now := begin
		var e elsewhere
		for n := 0; ; n++ {
			wait, ok := e.next(now, fmt.Sprint(n%others))
			if !ok {
				break
			}
			now = now.Add(wait)
		}
		if limit := time.Duration(others) * elsewhereTries * elsewherePause; now.Sub(begin) > limit {
			t.Errorf("%d others, and the server is gone: gave up after %v, want %v at most", others, now.Sub(begin), limit)
		}
	}
}

// TestElsewhereResumes goes on when another server answers first, and ends the
// stream soon when none but another one answers.
func TestElsewhereResumes(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "pipe", nil, nil)
			defer w.end()
			read(w.client)
			tries := 0
			w.set(func() {
				w.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
					early := false
					w.set(func() {
						tries++
						early = tries < 5
					})
					if gone || early {
						return nil, 0, fmt.Errorf("dial: %w", &ElsewhereError{Instance: "b", Reason: "no such session"})
					}
					return dial(t.Context(), a)
				}
			})
			w.cut()
			<-time.After(time.Second)
			var elsewhere *ElsewhereError
			if err := w.client.Err(); gone != errors.As(err, &elsewhere) {
				t.Errorf("server gone %v: got %v", gone, err)
			}
		})
	}
}
