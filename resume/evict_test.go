package resume

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// table is a server's sessions, and their clients by hand.
type table struct {
	*testing.T
	Sessions
}

// client is what a client knows of its session.
type client struct {
	who     string
	conn    *Conn
	name    string
	attempt uint64
	peer    net.Conn
	near    *closing
}

// closing is a carrier that knows whether it was closed.
type closing struct {
	*framed
	isClosed bool
}

func (c *closing) Close() error {
	c.isClosed = true
	return c.framed.Close()
}

func newTable(t *testing.T, cfg *Config) *table {
	return &table{T: t, Sessions: Sessions{Config: cfg, Group: func(principal any) any { return principal }}}
}

// open opens a session on which n bytes come.
func (t *table) open(who string, n int) *client {
	t.Helper()
	c := &client{who: who}
	if c.conn, c.name = t.Open(who); c.conn == nil {
		t.Fatal("got no session")
	}
	t.Cleanup(c.conn.Abort)
	read(c.conn)
	if err := t.attach(c, c.conn.Prepare()); err != nil {
		t.Fatal(err)
	}
	if n > 0 {
		c.peer.Write(appendPiece(nil, 0, make([]byte, n)))
	}
	synctest.Wait()
	return c
}

func (t *table) attach(c *client, a *Attachment) error {
	near, peer := net.Pipe()
	c.peer, c.near = peer, &closing{framed: newFramed(near, a.OnText)}
	go func() {
		for b := make([]byte, 100); ; {
			if _, err := peer.Read(b); err != nil {
				return
			}
		}
	}()
	return a.Attach(c.near, 0)
}

// resume resumes a session.
func (t *table) resume(c *client) error {
	c.attempt++
	a, err := t.Resume(Request{Name: c.name, Attempt: c.attempt}, c.who)
	if err != nil {
		return err
	}
	return t.attach(c, a)
}

// cut cuts connections.
func cut(clients ...*client) {
	for _, c := range clients {
		c.peer.Close()
		synctest.Wait()
	}
}

// ended reports which of the clients' streams have ended.
func ended(clients ...*client) (which string) {
	synctest.Wait()
	for i, c := range clients {
		if c.conn.Err() != nil {
			which += strconv.Itoa(i)
		}
	}
	return which
}

// TestEvictFor shows who makes room for whom.
func TestEvictFor(t *testing.T) {
	const used, unused = usedBytes, usedBytes - 1
	for _, tt := range []struct {
		name  string
		who   string // opens a session
		has   int    // with that one
		after time.Duration
		want  string
	}{
		// 0 and 1 are of alice, cut in that order; 2 is bob's; 3 is eve's and has its carrier.
		{"of whoever has most, cut longest ago", "eve", 2, 0, "0"},
		{"as many as the caller will have", "eve", 2, 0, "0"},
		{"nobody has as many as the caller", "eve", 3, 0, ""},
		{"of the caller's own, at once", "alice", 3, 0, ""},
		{"of the caller's own, later", "alice", 3, evictPatience, "0"},
		{"a caller without any", "", 0, 0, "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTable(t, nil)
				all := []*client{s.open("alice", used), s.open("alice", used), s.open("bob", used), s.open("eve", used)}
				cut(all[:3]...)
				<-time.After(tt.after)
				var who any = tt.who
				if tt.who == "" {
					who = nil
				}
				if ok := s.EvictFor(who, tt.has); ok != (tt.want != "") || ended(all...) != tt.want {
					t.Errorf("got %v, ended %q, want %q", ok, ended(all...), tt.want)
				}
			})
		})
	}
	t.Run("one that was of no use, whoever's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newTable(t, nil)
			all := []*client{s.open("alice", used), s.open("alice", used), s.open("bob", unused)}
			cut(all...)
			if !s.EvictFor("eve", 100) || ended(all...) != "2" {
				t.Errorf("got %q ended, want the one that was of no use", ended(all...))
			}
			if s.EvictFor("eve", 100) {
				t.Error("got another one ended, want none")
			}
		})
	})
	t.Run("none that is back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newTable(t, nil)
			c := s.open("alice", unused)
			cut(c)
			if err := s.resume(c); err != nil {
				t.Fatal(err)
			}
			if s.Evict() || ended(c) != "" {
				t.Error("a session that has its carrier made room")
			}
		})
	})
}

// TestOpenAndClose opens sessions without end and closes each at once: none that
// was of use makes room for them.
func TestOpenAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable(t, nil)
		var honest []*client
		for range 30 {
			honest = append(honest, s.open("honest", 1000))
		}
		cut(honest...)
		for range 300 {
			if s.Len() > 30 && !s.EvictFor("eve", 1) {
				t.Fatal("got no room")
			}
			cut(s.open("eve", 0))
		}
		if got := ended(honest...); got != "" {
			t.Errorf("got %d of 30 sessions ended, want none", len(got))
		}
	})
}

// TestShorterWindow shows for how long a session without a carrier is kept.
func TestShorterWindow(t *testing.T) {
	const window = time.Minute
	for _, tt := range []struct {
		name     string
		came     int
		acked    int
		end      time.Duration // when End is called, after the cut; 0 for never, -1 for before
		limit    time.Duration // what Watcher.Cut returns
		min, max time.Duration
	}{
		{"used", usedBytes, 0, 0, 0, window, window},
		{"not used", usedBytes - 1, 0, 0, 0, unusedWindow, unusedWindow},
		{"little came, much was acknowledged", 1, usedAcked, 0, 0, window, window},
		{"nothing came", 0, 0, 0, 0, unusedWindow, unusedWindow},
		{"shutting down", usedBytes, 0, -1, 0, endingWindow, endingWindow},
		{"shut down while cut", usedBytes, 0, 20 * time.Second, 0, 25 * time.Second, 25 * time.Second},
		{"shut down at the end", usedBytes, 0, 58 * time.Second, 0, window, window},
		{"limited", usedBytes, 0, 0, 7 * time.Second, 7 * time.Second, 7 * time.Second},
		{"not kept", usedBytes, 0, 0, -1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTable(t, &Config{Window: window})
				c := s.open("alice", tt.came)
				c.conn.Watch(Watcher{Cut: func() time.Duration { return tt.limit }})
				if tt.end < 0 {
					s.End()
				}
				if tt.acked > 0 {
					c.conn.Write(make([]byte, tt.acked))
					c.peer.Write(appendPiece(nil, 1, appendText(nil, message{wordAck, uint64(tt.acked)})))
					synctest.Wait()
				}
				start := time.Now()
				cut(c)
				if tt.end > 0 {
					<-time.After(tt.end)
					s.End()
				}
				<-c.conn.Done()
				var lost *LostError
				if after := time.Since(start); after < tt.min || after > tt.max || !errors.As(c.conn.Err(), &lost) {
					t.Errorf("got %v after %v, want a LostError after %v", c.conn.Err(), after, tt.max)
				}
				if s.Len() != 0 {
					t.Errorf("got %d sessions, want none", s.Len())
				}
			})
		})
	}
}

// TestResumedTooOften bounds how often a session is resumed, and how many
// carriers it holds at a time.
func TestResumedTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable(t, nil)
		c := s.open("alice", usedBytes)
		var all []*closing
		refused := 0
		for range 10 * resumeBurst {
			before := c.near
			switch err := s.resume(c); {
			case status(err) == http.StatusTooManyRequests:
				refused++
			case err != nil:
				t.Fatal(err)
			default:
				all = append(all, before)
			}
			held := 0
			for _, n := range all {
				if !n.isClosed {
					held++
				}
			}
			if held > 1 {
				t.Fatalf("got %d old carriers held, want no more than one", held)
			}
			<-time.After(time.Millisecond)
		}
		taken := 10*resumeBurst - refused
		if most := resumeBurst + int(10*resumeBurst*time.Millisecond/resumeInterval) + 1; taken > most || taken < resumeBurst {
			t.Errorf("got %d of %d taken, want %d to %d", taken, 10*resumeBurst, resumeBurst, most)
		}
		<-time.After(time.Second)
		if err := s.resume(c); err != nil {
			t.Errorf("got %v a second later, want nil", err)
		}
	})
}

// TestRequestBounds refuses numbers that no client can mean.
func TestRequestBounds(t *testing.T) {
	const largest, more = "9223372036854775806", "9223372036854775807"
	for _, tt := range []struct {
		attempt, offset string
		ok              bool
	}{{"1", "0", true}, {largest, largest, true}, {more, "0", false}, {"1", more, false}, {"1", "9223372036854775808", false}} {
		h := http.Header{
			headerSession: {strings.Repeat("A", nameLength)}, headerAttempt: {tt.attempt}, headerOffset: {tt.offset},
		}
		if _, err := ParseRequest(h); (err == nil) != tt.ok {
			t.Errorf("attempt %s, offset %s: got %v", tt.attempt, tt.offset, err)
		}
	}
}
