package resume

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBounds shows that above the bounds there is no session, and that those
// there are go on.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sessions{Max: 2, MaxReplay: 100 << 10}
		var open []*Conn
		for range 2 {
			c, name := s.Open(nil)
			if c == nil || len(name) != nameLength {
				t.Fatalf("got %v, %q, want a session", c, name)
			}
			defer c.Abort()
			open = append(open, c)
		}
		if c, _ := s.Open(nil); c != nil {
			t.Error("got a third session, want none")
		}
		open[1].Abort()
		if c, _ := s.Open(nil); c == nil {
			t.Error("got no session after one has ended, want one")
		} else {
			defer c.Abort()
			open[1] = c
		}
		// Nobody acknowledges: memory runs out, and Writes wait.
		for _, c := range open {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			var err error
			for n := 0; err == nil; n++ {
				if _, err = c.Write(make([]byte, 5000)); n > 100 {
					t.Fatal("got 500 kB written, want the bound to hold")
				}
			}
		}
		if used := s.Used(); used > 116<<10 || used < 90<<10 {
			t.Errorf("got %d bytes in use, want some 100 KiB", used)
		}
		open[1].Abort()
		if c, _ := s.Open(nil); c == nil {
			t.Error("got no session, want one: there is room")
		} else {
			c.Abort()
		}
		open[0].Abort()
		if n, used := s.Len(), s.Used(); n != 0 || used != 0 {
			t.Errorf("got %d sessions and %d bytes left, want none", n, used)
		}
	})
}

// TestIdleHoldsNothing shows that memory is given back once all is acknowledged.
func TestIdleHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(1 << 30)
		w := newWorld(t, "pipe", &Config{Budget: budget}, &Config{Budget: budget})
		defer w.end()
		read(w.client)
		read(w.server)
		for range 10 {
			w.client.Write(make([]byte, 100_000))
			w.server.Write(make([]byte, 100))
		}
		<-time.After(time.Second)
		if used := budget.Used(); used != 0 {
			t.Errorf("got %d bytes held by idle streams, want 0", used)
		}
		w.client.mu.Lock()
		defer w.client.mu.Unlock()
		if n := cap(w.client.out.pieces); n > 0 {
			t.Errorf("got room for %d pieces held, want none", n)
		}
	})
}

// TestShares lets one key use up its part of the memory, and no more.
func TestShares(t *testing.T) {
	s := &Sessions{MaxReplay: 8 << 20, Key: func(principal any) any { return principal }}
	open := func(who string) *Conn {
		c, _ := s.Open(who)
		if c == nil {
			t.Fatal("got no session")
		}
		t.Cleanup(c.Abort)
		return c
	}
	fill := func(c *Conn) (n int) {
		for c.out.budget.take(largeBlock, false) {
			n += largeBlock
		}
		return n
	}
	if n := fill(open("alice")) + fill(open("alice")); n != 1<<20 {
		t.Errorf("got %d bytes for one key, want an eighth of 8 MiB", n)
	}
	if n := fill(open("bob")); n != 1<<20 {
		t.Errorf("got %d bytes for another one, want as much", n)
	}
	if n := s.Used(); n != 2<<20 {
		t.Errorf("got %d bytes in use, want 2 MiB", n)
	}
}
