package resume

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"testing"
)

// FuzzTexts sends arbitrary texts, one a line, to a stream of which a part was
// sent: what is kept stays consistent, and a text that is taken is one that this
// package would send.
func FuzzTexts(f *testing.F) {
	for _, m := range []message{{wordAck, 3}, {wordAck, 5}, {wordEnd, 0}, {word: wordPing}, {word: wordPong}, {word: wordDrain}} {
		f.Add(appendText(nil, m))
	}
	f.Add([]byte("ack 1\nack 5\nend 7\nping\nend 7"))
	f.Fuzz(func(t *testing.T, texts []byte) {
		c := New(nil, nil)
		defer c.Abort()
		near, far := net.Pipe()
		defer far.Close()
		go func() {
			for b := make([]byte, 100); ; {
				if _, err := far.Read(b); err != nil {
					return
				}
			}
		}()
		a := c.Prepare()
		if err := a.Attach(newFramed(near, a.OnText), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		for text := range bytes.SplitSeq(texts, []byte("\n")) {
			m, err := parseText(text)
			if err == nil && !bytes.Equal(appendText(nil, m), text) {
				t.Errorf("got %q taken, which is not what is sent", text)
			}
			a.OnText(text)
			c.mu.Lock()
			o := &c.out
			if o.start > o.next || o.next > o.sent || o.sent > o.end || o.end != 5 {
				t.Errorf("got start %d, next %d, sent %d, end %d after %q", o.start, o.next, o.sent, o.end, text)
			}
			if err != nil && c.over == nil && !c.finished {
				t.Errorf("got %q taken, want %v", text, err)
			}
			c.mu.Unlock()
		}
	})
}

// FuzzRequest parses the fields of a request: what is taken is what this package
// would send, and the offset decides about the stream alone.
func FuzzRequest(f *testing.F) {
	sessions := &Sessions{}
	c, name := sessions.Open(nil)
	f.Cleanup(c.Abort)
	f.Add(name, "1", "0")
	f.Add(name, "0", "5")
	f.Add(name[1:], "18446744073709551615", "-1")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, session, attempt, offset string) {
		r, err := ParseRequest(http.Header{headerSession: {session}, headerAttempt: {attempt}, headerOffset: {offset}})
		if err != nil {
			if status(err) != http.StatusBadRequest {
				t.Errorf("got %v, want a refusal with 400", err)
			}
			return
		}
		if r.Name != session || strconv.FormatUint(r.Attempt, 10) != attempt || strconv.FormatUint(r.Offset, 10) != offset {
			t.Errorf("got %+v from %q, %q, %q", r, session, attempt, offset)
		}
		if r.Name == name && r.Offset == 0 {
			return // the right one
		}
		if _, err := sessions.Resume(r, nil); status(err) != http.StatusNotFound && status(err) != http.StatusConflict {
			t.Errorf("got %v for %+v, want 404 or 409", err, r)
		}
	})
}
