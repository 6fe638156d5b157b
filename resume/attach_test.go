package resume

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// peer is the other end of a Conn's carrier, driven by hand.
type peer struct {
	*testing.T

	carrier *framed
	texts   chan string
	bytes   chan []byte
}

// attach gives c a carrier and returns its other end.
func attach(t *testing.T, c *Conn, a *Attachment, received uint64) *peer {
	t.Helper()
	near, far := net.Pipe()
	p := &peer{T: t, texts: make(chan string, 100), bytes: make(chan []byte, 100)}
	p.carrier = newFramed(far, func(b []byte) { p.texts <- string(b) })
	if err := a.Attach(newFramed(near, a.OnText), received); err != nil {
		t.Fatalf("got %v from Attach, want nil", err)
	}
	go func() {
		for {
			b := make([]byte, 1000)
			n, err := p.carrier.Read(b)
			if err != nil {
				close(p.bytes)
				return
			}
			p.bytes <- b[:n]
		}
	}()
	t.Cleanup(func() { far.Close() })
	return p
}

// text waits for the next text.
func (p *peer) text() string {
	select {
	case s := <-p.texts:
		return s
	case <-time.After(time.Minute):
		return "none in a minute"
	}
}

// read keeps reading from c.
func read(c *Conn) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
		ended <- err
	}()
	return ended
}

// TestBadTexts sends texts that are none, or lie.
func TestBadTexts(t *testing.T) {
	for _, row := range []struct {
		name, text string
		client     bool
		want       string
	}{
		{"none", "", false, "that is none"},
		{"garbled", "ack twelve", false, "that is none"},
		{"without an offset", "ack", false, "that is none"},
		{"negative", "ack -1", false, "that is none"},
		{"leading zero", "ack 01", false, "that is none"},
		{"two offsets", "ack 1 2", false, "that is none"},
		{"too large", "ack 18446744073709551616", false, "that is none"},
		{"ping with an offset", "ping 1", false, "that is none"},
		{"unknown", "hello", false, "that is none"},
		{"not UTF-8", "\xff\xfe", false, "that is none"},
		{"huge", strings.Repeat("a", 1000), false, "of 1000 bytes"},
		{"past what was sent", "ack 6", false, "not sent"},
		{"past the end of a stream that has none", "ack 5000000000000000000", false, "not sent"},
		{"backwards", "ack 2", false, "goes back"},
		{"an end before what came", "end 1", false, "not at the end"},
		{"a client that drains", "drain", false, "asks for a new carrier"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sessions := &Sessions{}
				other, _ := sessions.Open("other")
				c, name := sessions.Open("me")
				defer other.Abort()
				defer c.Abort()
				p := attach(t, c, c.Prepare(), 0)
				ended := read(c)
				if _, err := c.Write([]byte("12345")); err != nil {
					t.Fatal(err)
				}
				p.carrier.Write([]byte("abc"))
				p.carrier.WriteText([]byte("ack 3"))
				p.carrier.WriteText([]byte(row.text))
				err := <-ended
				var violation *ProtocolError
				if !errors.As(err, &violation) || !strings.Contains(violation.Reason, row.want) {
					t.Errorf("got %v, want a violation: %s", err, row.want)
				}
				if _, err := c.Write([]byte("x")); !errors.As(err, &violation) {
					t.Errorf("got %v from Write, want the violation", err)
				}
				<-c.Done()
				if _, err := sessions.Resume(Request{Name: name, Attempt: 1}, "me"); status(err) != http.StatusNotFound {
					t.Errorf("got %v for the session that was refused, want 404", err)
				}
				if sessions.Len() != 1 || other.Err() != nil {
					t.Errorf("got %d sessions, the other one with %v, want it untouched", sessions.Len(), other.Err())
				}
			})
		})
	}
}

func status(err error) int {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.StatusCode
	}
	return 0
}

// TestResumeRefused asks for what may not be had.
func TestResumeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := &Sessions{Config: &Config{AckDelay: time.Millisecond}}
		c, name := sessions.Open("me")
		defer c.Abort()
		p := attach(t, c, c.Prepare(), 0)
		ended := read(c)
		c.Write([]byte("12345"))
		p.carrier.WriteText([]byte("ack 3"))
		synctest.Wait()
		id := name[:10]
		for _, row := range []struct {
			name      string
			request   Request
			principal any
			want      int
		}{
			{"unknown", Request{Name: strings.Repeat("A", nameLength), Attempt: 1, Offset: 3}, "me", 404},
			{"guessed secret", Request{Name: id + strings.Repeat("A", nameLength-10), Attempt: 1, Offset: 3}, "me", 404},
			{"not base64", Request{Name: strings.Repeat("!", nameLength), Attempt: 1, Offset: 3}, "me", 404},
			{"other principal", Request{Name: name, Attempt: 1, Offset: 3}, "you", 403},
			{"no principal", Request{Name: name, Attempt: 1, Offset: 3}, nil, 403},
			{"acknowledged", Request{Name: name, Attempt: 1, Offset: 2}, "me", 409},
			{"not sent", Request{Name: name, Attempt: 1, Offset: 6}, "me", 409},
			{"old attempt", Request{Name: name, Attempt: 0, Offset: 5}, "me", 409},
		} {
			_, err := sessions.Resume(row.request, row.principal)
			if got := status(err); got != row.want {
				t.Errorf("%s: got %d (%v), want %d", row.name, got, err, row.want)
			}
		}
		// The session goes on, on the same carrier and on the next.
		p.carrier.Write([]byte("abc"))
		if got := p.text(); got != "ack 3" {
			t.Errorf("got %q, want an acknowledgement of 3 bytes", got)
		}
		a, err := sessions.Resume(Request{Name: name, Attempt: 7, Offset: 4}, "me")
		if err != nil {
			t.Fatal(err)
		}
		if a.Offset() != 3 {
			t.Errorf("got offset %d, want 3", a.Offset())
		}
		next := attach(t, c, a, 4)
		if b := <-next.bytes; string(b) != "5" {
			t.Errorf("got %q on the next carrier, want the last byte alone", b)
		}
		for range p.bytes { // it ends
		}
		// A second client with the same name comes too late.
		if _, err := sessions.Resume(Request{Name: name, Attempt: 7, Offset: 5}, "me"); status(err) != 409 {
			t.Errorf("got %v for a name used twice, want 409", err)
		}
		c.Abort()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
		if _, err := sessions.Resume(Request{Name: name, Attempt: 9, Offset: 5}, "me"); status(err) != 404 {
			t.Errorf("got %v after the end, want 404", err)
		}
	})
}

// TestAcksWait shows that nothing is acknowledged beyond what a request under
// way says, and everything afterwards.
func TestAcksWait(t *testing.T) {
	for _, row := range []struct {
		name    string
		abandon bool
	}{{"attached", false}, {"abandoned", true}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(nil, nil)
				defer c.Abort()
				p := attach(t, c, c.Prepare(), 0)
				read(c)
				p.carrier.Write([]byte("abc"))
				if got := p.text(); got != "ack 3" {
					t.Errorf("got %q, want ack 3", got)
				}
				a := c.Prepare()
				if a.Offset() != 3 {
					t.Errorf("got offset %d, want 3", a.Offset())
				}
				p.carrier.Write([]byte("def"))
				p.carrier.WriteText([]byte("ping"))
				if got := p.text(); got != "pong" {
					t.Errorf("got %q, want the answer to the ping alone", got)
				}
				select {
				case got := <-p.texts:
					t.Errorf("got %q while a request was under way, want nothing", got)
				case <-time.After(time.Second):
				}
				if row.abandon {
					a.Abandon()
					if got := p.text(); got != "ack 6" {
						t.Errorf("got %q, want ack 6", got)
					}
					return
				}
				next := attach(t, c, a, 0)
				if got := next.text(); got != "ack 3" { // what was sent on this carrier, not more
					t.Errorf("got %q, want ack 3", got)
				}
				next.carrier.Write([]byte("defg"))
				if got := next.text(); got != "ack 7" {
					t.Errorf("got %q, want ack 7", got)
				}
			})
		})
	}
}

// TestOvertaken shows that of two attachments the later one counts.
func TestOvertaken(t *testing.T) {
	c := New(nil, nil)
	defer c.Abort()
	first, second := c.Prepare(), c.Prepare()
	attach(t, c, second, 0)
	near, far := net.Pipe()
	defer far.Close()
	if err := first.Attach(newFramed(near, first.OnText), 0); !errors.Is(err, errOvertaken) {
		t.Errorf("got %v, want %v", err, errOvertaken)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v from the carrier that came too late, want EOF", err)
	}
}

// TestPlainDeadlines shows that deadlines work without a carrier.
func TestPlainDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(&Config{Buffer: 1}, nil)
		defer c.Abort()
		start := time.Now()
		c.SetDeadline(start.Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v from Read, want a timeout", err)
		}
		c.SetDeadline(start.Add(2 * time.Second))
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 1000))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("got %v after %v from Write, want a timeout after 2s", err, time.Since(start))
		}
	})
}
