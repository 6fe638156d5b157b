package resume

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// far is the other end of a carrier, without a Conn: it notes what comes.
type far struct {
	*framed

	mu    sync.Mutex
	texts []string
}

func newFar(c net.Conn) *far {
	f := &far{}
	f.framed = newFramed(c, func(text []byte) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.texts = append(f.texts, string(text))
	})
	return f
}

func (f *far) heard() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.texts
}

// awaiting returns a server's Conn that awaits a confirmation, and the far end of
// its carrier.
func awaiting(t *testing.T, s *Sessions) (*Conn, *far) {
	t.Helper()
	c, _ := s.Open(nil)
	c.AwaitConfirmation()
	near, peer := net.Pipe()
	a := c.Prepare()
	if err := a.Attach(newFramed(near, a.OnText), 0); err != nil {
		t.Fatal(err)
	}
	return c, newFar(peer)
}

// TestPlain serves a client that did not learn of its session: it gets no text,
// however long it takes, nothing waits for acknowledgements, and the end of the
// WebSocket is that of the stream.
func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sessions{}
		c, peer := awaiting(t, s)
		denied := false
		c.Watch(Watcher{Plain: func() { denied = true }})
		var got int
		go func() {
			n, _ := io.Copy(io.Discard, peer)
			got = int(n)
		}()
		end := read(c)
		if _, err := c.Write([]byte("settings")); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		if _, err := peer.Write([]byte("first bytes")); err != nil {
			t.Fatal(err)
		}
		const much = 3 * defaultMaxBuffer
		for range 3 {
			if n, err := c.Write(make([]byte, much/3)); n != much/3 || err != nil {
				t.Fatalf("got %d, %v, want all written without an acknowledgement", n, err)
			}
			<-time.After(time.Hour) // as quiet as may be
		}
		if !denied || s.Len() != 0 || s.Used() != 0 {
			t.Errorf("got denied %v, %d sessions, %d bytes kept, want true and nothing", denied, s.Len(), s.Used())
		}
		peer.Close()
		if err := <-end; err != nil {
			t.Errorf("got %v, want the carrier's end", err)
		}
		<-c.Done()
		synctest.Wait()
		if texts := peer.heard(); len(texts) > 0 || got != much+len("settings") {
			t.Errorf("got %q and %d bytes, want no text and all bytes", texts, got)
		}
	})
}

// TestPlainClose closes a stream whose client has no session: what was written
// arrives, and no text.
func TestPlainClose(t *testing.T) {
	for _, limited := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := awaiting(t, &Sessions{})
			read(c)
			if _, err := peer.Write([]byte("first bytes")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if limited { // then another goroutine sends
				c.SetWriteDeadline(time.Now().Add(time.Minute))
			}
			go func() {
				_, _ = c.Write([]byte("last words"))
				c.Close()
			}()
			got, err := io.ReadAll(peer)
			if string(got) != "last words" || err != nil || len(peer.heard()) > 0 {
				t.Errorf("limited %v: got %q, %v, texts %q, want the last words and the end", limited, got, err, peer.heard())
			}
			<-c.Done()
			c.Abort()
		})
	}
}

// TestConfirmed shows that the first text of a client is one that confirms, and
// that everything is as ever then.
func TestConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := awaiting(t, &Sessions{})
		defer c.Abort()
		go io.Copy(io.Discard, peer)
		read(c)
		c.Write([]byte("settings"))
		<-time.After(time.Minute)
		if texts := peer.heard(); len(texts) > 0 {
			t.Errorf("got %q, want no text before the client's", texts)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, peer := awaiting(t, &Sessions{})
		defer c.Abort()
		go io.Copy(io.Discard, peer)
		read(c)
		peer.WriteText([]byte("pong"))
		peer.Write([]byte("bytes"))
		<-time.After(time.Second)
		if texts := peer.heard(); len(texts) != 1 || texts[0] != "ack 5" {
			t.Errorf("got %q, want an acknowledgement", texts)
		}
	})
}

// TestGreeting shows that a client's Conn sends a text ahead of its first bytes,
// however these come, and none ahead of others.
func TestGreeting(t *testing.T) {
	for _, first := range []int{1, smallPiece + 1, largeBlock} {
		for _, limited := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c := New(nil, func() Dial { return nil }())
				c.greets = true
				near, peer := net.Pipe()
				var raw bytes.Buffer
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _ = io.Copy(&raw, peer)
				}()
				a := c.Prepare()
				if err := a.Attach(newFramed(near, a.OnText), 0); err != nil {
					t.Fatal(err)
				}
				if limited {
					c.SetWriteDeadline(time.Now().Add(time.Minute))
				}
				c.Write(make([]byte, first))
				c.Write(make([]byte, first))
				synctest.Wait()
				c.Abort()
				<-ended
				greeting := appendPiece(nil, 1, []byte("pong"))
				if !bytes.HasPrefix(raw.Bytes(), greeting) || bytes.Count(raw.Bytes(), greeting) != 1 {
					t.Errorf("%d bytes, limited %v: got %q first, want one pong", first, limited, raw.Bytes()[:12])
				}
			})
		}
	}
}

// TestConfirmedByResuming shows that a client which knows the session's name has
// confirmed it.
func TestConfirmedByResuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sessions{}
		c, name := s.Open(nil)
		defer c.Abort()
		c.AwaitConfirmation()
		read(c)
		for attempt := range uint64(2) {
			var a *Attachment
			if attempt == 0 {
				a = c.Prepare()
			} else if a, _ = s.Resume(Request{Name: name, Attempt: attempt}, nil); a == nil {
				t.Fatal("got no attachment")
			}
			near, peer := net.Pipe()
			if err := a.Attach(newFramed(near, a.OnText), 0); err != nil {
				t.Fatal(err)
			}
			f := newFar(peer)
			go io.Copy(io.Discard, f)
			synctest.Wait()
			if said := len(f.heard()) > 0; said != (attempt > 0) {
				t.Errorf("attempt %d: got a text %v", attempt, said)
			}
			peer.Close()
			synctest.Wait()
		}
	})
}
