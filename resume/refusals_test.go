package resume

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// verdict of an answer to a request to resume.
type verdict string

const (
	final  verdict = "final"
	again  verdict = "again, within the window"
	maybe  verdict = "again, for 10 s"
	soon   verdict = "again, soon"
	unsure verdict = "again, soon, for 10 s"
	twice  verdict = "final the second time"
)

func verdictOf(err error) verdict {
	var retry *RetryError
	var refused *RefusedError
	switch {
	case err == nil:
		return again
	case errors.As(err, &retry):
		return map[retryKind]verdict{persists: maybe, elsewhere: soon, unnamed: unsure, conflict: twice}[retry.kind]
	case errors.As(err, &refused):
		return final
	}
	return "none"
}

// TestRefusal decides for each status, by who has answered, what it means.
func TestRefusal(t *testing.T) {
	g := Grant{Name: "name", Instance: "mine"}
	for _, row := range []struct {
		status            int
		mine, other, none verdict
	}{
		{200, again, again, again}, // a login page
		{302, again, again, again},
		{400, final, soon, again},  // another server may be of another version
		{401, maybe, maybe, again}, // a token may be renewed
		{403, final, soon, again},  // a hop's 403 may be of a login page
		{404, final, soon, unsure}, // a hop may have put its page in the place of the server's
		{405, again, again, again}, // and all that follow: a hop that is being changed
		{407, again, again, again},
		{408, again, again, again},
		{409, twice, soon, unsure}, // a hop that sends a request twice
		{421, again, again, again},
		{425, again, again, again},
		{426, again, again, again},
		{429, again, again, again}, // with Retry-After
		{500, again, again, again},
		{502, again, again, again}, // a hop whose server restarts
		{503, again, again, again},
		{504, again, again, again},
		{505, again, again, again},
	} {
		for instance, want := range map[string]verdict{"mine": row.mine, "other": row.other, "": row.none} {
			h := http.Header{}
			if instance != "" {
				h.Set(headerInstance, instance)
			}
			err := g.Refusal(row.status, h, "reason")
			if got := verdictOf(err); got != want {
				t.Errorf("%d of %q: got %q, want %q", row.status, instance, got, want)
			}
			if err != nil && status(err) != row.status {
				t.Errorf("%d of %q: got %v, want a RefusedError with that status", row.status, instance, err)
			}
		}
	}
	if got := verdictOf(Grant{Name: "name"}.Refusal(404, http.Header{headerInstance: {"x"}}, "")); got != soon {
		t.Errorf("got %q for a 404 if the grant did not name its server, want %q", got, soon)
	}
	if _, err := Received(http.Header{}); verdictOf(err) != maybe {
		t.Errorf("got %v for a 101 without an offset, want a RetryError", err)
	}
}

// balancer sends each request to one of its servers; the session is on the one
// that is called mine.
type balancer struct {
	world   *world
	servers []string
	pick    func(n int) int
	delay   time.Duration // of a dial
	dials   int
}

func (b *balancer) dial(dial Dial, a *Attachment) (Carrier, uint64, error) {
	<-time.After(b.delay)
	b.dials++
	instance := b.servers[b.pick(len(b.servers))]
	if instance == "mine" {
		return dial(context.Background(), a)
	}
	h := http.Header{}
	if instance != "" {
		h.Set(headerInstance, instance)
	}
	return nil, 0, Grant{Name: "name", Instance: "mine"}.Refusal(404, h, "no such session")
}

// balance cuts the stream, and returns after how long and how many dials it was
// resumed, or lost because of the error.
func balance(t *testing.T, servers []string, pick func(int) int, delay time.Duration) (after time.Duration, dials int, err error) {
	synctest.Test(t, func(t *testing.T) {
		resumed := make(chan time.Time, 10)
		w := newWorld(t, "pipe", &Config{Observe: &Observer{Resumed: func(time.Duration, int64) { resumed <- time.Now() }}}, nil)
		defer w.end()
		b := &balancer{world: w, servers: servers, pick: pick, delay: delay}
		w.set(func() { w.around = b.dial })
		ended := read(w.client)
		<-time.After(11 * time.Second)
		start := time.Now()
		w.cut()
		select {
		case <-resumed:
		case err = <-ended:
		}
		after, dials = time.Since(start), b.dials
	})
	return after, dials, err
}

// replicas returns n servers, of which the last has the session.
func replicas(n int, last string) []string {
	var servers []string
	for i := range n - 1 {
		servers = append(servers, fmt.Sprint("other ", i))
	}
	return append(servers, last)
}

// TestReplicas shows that a session is found again among replicas behind a
// balancer that knows nothing of it.
func TestReplicas(t *testing.T) {
	for n := 2; n <= 10; n++ {
		next := -1
		after, dials, err := balance(t, replicas(n, "mine"), func(n int) int {
			next++
			return next % n
		}, time.Millisecond)
		if err != nil || dials != n || after > time.Duration(n)*100*time.Millisecond {
			t.Errorf("round robin over %d: got %v after %d dials in %v, want it after %d", n, err, dials, after, n)
		}
		runs := 200
		if testing.Short() {
			runs = 20
		}
		for seed := range runs {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(n)))
			if after, dials, err := balance(t, replicas(n, "mine"), rng.IntN, time.Millisecond); err != nil {
				t.Errorf("one of %d at random, seed %d: got %v after %d dials in %v, want nil", n, seed, err, dials, after)
			}
		}
	}
}

// TestOwnerGone shows how soon a session is given up that no server has.
func TestOwnerGone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		servers []string
		delay   time.Duration
		within  time.Duration
		dials   int // at most
	}{
		{"restarted", []string{"new"}, time.Millisecond, 1300 * time.Millisecond, 17},
		{"restarted, far away", []string{"new"}, 400 * time.Millisecond, 4 * time.Second, 7},
		{"one of two", replicas(2, "new"), time.Millisecond, 3 * time.Second, 30},
		{"one of ten", replicas(10, "new"), time.Millisecond, 11 * time.Second, 130},
		{"one of a thousand", replicas(1000, "new"), time.Millisecond, 11 * time.Second, 130},
		{"by an answer without a name", []string{""}, time.Millisecond, 12 * time.Second, 30},
	} {
		for range 20 {
			after, dials, err := balance(t, tt.servers, rand.IntN, tt.delay)
			if status(err) != 404 || after > tt.within || dials > tt.dials {
				t.Errorf("%s: got %v after %v and %d dials, want a 404 within %v and %d", tt.name, err, after, dials, tt.within, tt.dials)
			}
		}
	}
}

// TestRetries shows for how long the other refusals are asked again.
func TestRetries(t *testing.T) {
	own := http.Header{headerInstance: {"mine"}}
	for _, tt := range []struct {
		status        int
		answer        http.Header
		from, to      time.Duration
		least, atMost int
	}{
		{401, own, 10 * time.Second, 16 * time.Second, 5, 25},
		{409, own, 0, time.Second, 2, 2},
		{409, http.Header{}, 10 * time.Second, 12 * time.Second, 5, 30},
		{403, own, 0, time.Second, 1, 1},
		{502, http.Header{}, 2 * time.Minute, 2 * time.Minute, 20, 120},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "pipe", nil, nil)
			defer w.end()
			w.set(func() {
				w.dials = 0
				w.refuse = errors.New("status 502")
				if err := (Grant{Name: "name", Instance: "mine"}).Refusal(tt.status, tt.answer, ""); err != nil {
					w.refuse = fmt.Errorf("wrapped: %w", err)
				}
			})
			start := time.Now()
			w.cut()
			err := <-read(w.client)
			var lost *LostError
			if after := time.Since(start); !errors.As(err, &lost) || !errors.Is(err, w.refuse) || after < tt.from || after > tt.to {
				t.Errorf("%d: got %v after %v, want it lost after %v to %v", tt.status, err, after, tt.from, tt.to)
			}
			if w.dials < tt.least || w.dials > tt.atMost {
				t.Errorf("%d: got %d dials, want %d to %d", tt.status, w.dials, tt.least, tt.atMost)
			}
		})
	}
}

// TestSentTwice shows that a request which a hop has sent twice, so that the
// answer is the second one's, does not end the session.
func TestSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resumed := make(chan struct{}, 10)
		w := newWorld(t, "pipe", &Config{Observe: &Observer{Resumed: func(time.Duration, int64) { resumed <- struct{}{} }}}, nil)
		defer w.end()
		first := true
		w.set(func() {
			w.around = func(dial Dial, a *Attachment) (Carrier, uint64, error) {
				if !first {
					return dial(t.Context(), a)
				}
				first = false
				c, _, err := dial(t.Context(), a)
				if err == nil {
					c.Close()
					_, _, err = dial(t.Context(), a)
				}
				return nil, 0, Grant{Instance: "mine"}.Refusal(status(err), http.Header{headerInstance: {"mine"}}, err.Error())
			}
		})
		ended := read(w.client)
		w.cut()
		select {
		case <-resumed:
		case err := <-ended:
			t.Errorf("got %v, want it resumed", err)
		}
	})
}
