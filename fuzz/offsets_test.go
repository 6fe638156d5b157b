package fuzz

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"culvert/resume"
)

// offsets is a session of a server, and a client that knows all that is true of
// it, and says what is not.
type offsets struct {
	*testing.T

	sessions resume.Sessions
	server   *resume.Conn
	name     string
	peer     *carrierPeer // nil while there is no WebSocket

	reading chan struct{} // closed when the server's Read has returned an error
	got     []byte        // what the server has read until then
	readErr error

	written    int // by the server
	sent       int // of that, on some WebSocket
	acked      int // of that, as far as the server has been told
	told       int // what the server has acknowledged last
	high       int // the most that the client has sent
	attempts   int // the next attempt that counts
	end        int // where the client's stream ends, -1 if that was not said
	frozen     int // how much the server had read when it closed, -1 if it did not
	lied, end2 bool
}

// newOffsets opens a session.
func newOffsets(t *testing.T) *offsets {
	o := &offsets{T: t, reading: make(chan struct{}), end: -1, frozen: -1, attempts: 1}
	o.sessions.Config = &resume.Config{PingInterval: -1, FirstByteTimeout: time.Hour}
	o.server, o.name = o.sessions.Open("somebody")
	go func() {
		defer close(o.reading)
		for b := make([]byte, 700); o.readErr == nil; {
			var n int
			n, o.readErr = o.server.Read(b)
			o.got = append(o.got, b[:n]...)
		}
	}()
	var err error
	if o.peer, err = attach(t, o.server.Prepare(), 0); err != nil {
		t.Fatal(err)
	}
	return o
}

// deaf reports whether the server has read to the end of the stream, so that
// it does not listen until it closes. What happens to a WebSocket before that
// it may see or not.
func (o *offsets) deaf() bool { return o.end >= 0 && len(o.got) >= o.end && o.frozen < 0 }

// over reports whether the session has ended.
func (o *offsets) over() bool { return o.lied || o.end2 }

// step does what op says, with the number n.
func (o *offsets) step(op byte, n int) {
	switch peer := o.peer; {
	case op%16 < 3:
		o.write(n * 9)
	case op%16 == 3 && o.frozen < 0:
		o.frozen = len(o.got)
		_ = o.server.Close()
		o.end2 = o.end2 || o.end >= 0
		synctest.Wait()
	case op%16 == 6:
		pause()
	case o.deaf():
	case op%16 < 6:
		o.resume(o.attempts+n%5-1, o.delta(n), op)
	case peer == nil:
	case op%16 == 7:
		_ = peer.conn.Close()
		o.peer = nil
		synctest.Wait()
	case op%16 < 11:
		o.send(n * 9)
	case op%16 == 11:
		o.ack(peer.received())
	case op%16 == 12:
		o.ack(o.delta(n))
	case op%16 == 13:
		o.finish(n)
	case op%16 == 14:
		o.garble(n)
	default:
		pongs := o.count("pong")
		peer.say("ping")
		if got := o.count("pong"); !o.over() && got != pongs+1 {
			o.Fatalf("got %d PONGs, want %d", got, pongs+1)
		}
	}
}

// pause lets acknowledgements come: those of few bytes wait for up to 800 ms.
func pause() {
	<-time.After(900 * time.Millisecond)
	synctest.Wait()
}

// delta returns an offset in the server's stream that the client has, as a rule.
func (o *offsets) delta(n int) int {
	have := o.acked
	if o.peer != nil {
		have = o.peer.received()
	}
	switch n % 7 {
	case 0:
		return max(0, o.acked-1)
	case 1:
		return o.sent + 1
	case 2:
		return o.acked
	case 3:
		return o.sent
	case 4:
		return max(0, have-n)
	default:
		return have
	}
}

func (o *offsets) count(text string) (n int) {
	for _, t := range o.peer.texts {
		if t == text {
			n++
		}
	}
	return n
}

// write has the server write.
func (o *offsets) write(n int) {
	m, err := o.server.Write(streamBytes('s', o.written, n))
	synctest.Wait()
	switch {
	case o.frozen >= 0 && errors.Is(err, net.ErrClosed), o.lied && err != nil:
	case o.end >= 0 && errors.Is(err, syscall.EPIPE), n == 0:
	case err != nil || m != n || o.over() || o.frozen >= 0 || o.end >= 0:
		o.Fatalf("Write: got %d, %v", m, err)
	}
	o.written += m
}

// send has the client send what follows, to its end if it has one.
func (o *offsets) send(n int) {
	if o.end >= 0 {
		n = min(n, o.end-o.peer.pos)
	}
	if err := o.peer.send(n); err != nil && !o.over() && o.frozen < 0 {
		o.Fatalf("got %v from a WebSocket that is in use", err)
	}
	o.high = max(o.high, o.peer.pos)
}

// ack has the client acknowledge, truly or not.
func (o *offsets) ack(n int) {
	o.peer.sayf("ack %d", n)
	switch {
	case o.over():
	case o.frozen >= 0 && n == o.written+1:
		o.end2 = true
	case o.end >= 0: // the server has let go of what it kept, and does not know what would be going back
		o.lied = n > o.written
	case n < o.acked || n > o.sent:
		o.lied = true
	default:
		o.acked = n
	}
}

// finish has the client say where its stream ends.
func (o *offsets) finish(n int) {
	at := o.high
	if n%4 == 3 {
		at = max(0, o.high+n/4-32)
	}
	o.peer.sayf("end %d", at)
	in := len(o.got)
	if o.frozen >= 0 {
		in = o.frozen
	}
	switch {
	case o.over():
	case at < in || o.end >= 0 && at != o.end:
		o.lied = true
	default:
		o.end = at
		o.end2 = o.frozen >= 0
	}
}

// garble has the client say what is no text.
func (o *offsets) garble(n int) {
	texts := []string{"", "ack", "ack ", "ack 01", "ack -1", "ack +1", "ack 1 ", "ACK 1", "end", "end 9223372036854775807", "ping ",
		"pong 1", "drain", "hello", "ack 18446744073709551616", "ack 000000000000000000000000000000000000000", "\x00"}
	o.peer.say(texts[n%len(texts)])
	o.lied = o.lied || !o.end2
}

// resume has the client ask for a new WebSocket.
func (o *offsets) resume(attempt, offset int, op byte) {
	h := http.Header{"Culvert-Session": {o.name}, "Culvert-Attempt": {strconv.Itoa(max(0, attempt))}, "Culvert-Offset": {strconv.Itoa(offset)}}
	attempt = max(0, attempt)
	r, err := resume.ParseRequest(h)
	if err != nil {
		o.Fatal(err)
	}
	a, err := o.sessions.Resume(r, "somebody")
	var refused *resume.RefusedError
	want := 0
	switch {
	case o.over():
		want = http.StatusNotFound
	case attempt < o.attempts, o.end < 0 && offset < o.acked, offset > o.sent:
		want = http.StatusConflict
	}
	if errors.As(err, &refused) != (want != 0) || want != 0 && refused.StatusCode != want {
		o.Fatalf("attempt %d, offset %d: got %v, want %d", attempt, offset, err, want)
	}
	if err != nil {
		return
	}
	o.attempts = attempt + 1
	at := int(a.Offset())
	if o.peer != nil && op&0x10 != 0 { // more comes on the old one meanwhile
		o.send(int(op) * 5)
		pause()
		for _, n := range o.peer.acks(o.T)[o.peer.seen:] {
			if n > max(at, o.told) {
				o.Fatalf("got ack %d while a request with offset %d was under way", n, at)
			}
		}
	}
	if op&0x60 == 0x60 {
		a.Abandon()
		return
	}
	old := o.peer
	if o.peer, err = attach(o.T, a, offset); err != nil {
		o.Fatal(err)
	}
	if old != nil {
		old.conn.Abort()
	}
	if o.peer.pos != at || at > o.high {
		o.Fatalf("got offset %d, then %d, want one up to %d", at, o.peer.pos, o.high)
	}
	if o.end < 0 {
		o.acked = offset
	}
}

// check checks what has to be true after every step.
func (o *offsets) check() {
	o.Helper()
	synctest.Wait()
	checkStream(o.T, "server", 'c', 0, o.got)
	p := o.peer
	if p != nil {
		checkStream(o.T, "client", 's', p.base, p.data)
		for _, n := range p.acks(o.T)[p.seen:] {
			if p.seen++; n < o.told || n > p.pos && n != o.end+1 {
				o.Fatalf("got ack %d on a WebSocket on which %d were sent, ack %d before", n, p.pos, o.told)
			}
			o.told = n
		}
	}
	var violation *resume.ProtocolError
	if lied := errors.As(o.server.Err(), &violation); lied != (o.lied && o.frozen < 0) {
		o.Fatalf("got %v, want a ProtocolError %v", o.server.Err(), o.lied)
	}
	if o.over() || p == nil {
		return
	}
	if p.err != nil {
		o.Fatalf("got %v from a WebSocket that is in use", p.err)
	}
	if o.end < 0 {
		o.sent = o.written
		if p.received() != o.written {
			o.Fatalf("got %d bytes at the client, want %d", p.received(), o.written)
		}
	}
	if o.frozen < 0 && len(o.got) < p.pos {
		o.Fatalf("got %d bytes at the server, want %d", len(o.got), p.pos)
	}
}

// FuzzOffsets plays a client of a session that resumes it and acknowledges, as
// it should or not. Whatever it says, each side receives the other's stream,
// nothing lost, doubled or reordered, or the session ends; what is true never
// ends it, and what is not always does; a request is refused when, and only
// when, it has to be; acknowledgements do not exceed what came; and at the end
// nothing is kept and nobody is left.
func FuzzOffsets(f *testing.F) {
	f.Add([]byte{0, 10, 8, 20, 11, 0, 7, 0, 0, 30, 5, 6, 8, 9, 6, 0, 11, 0, 13, 0, 3, 0})
	f.Add([]byte{0, 10, 8, 20, 0x15, 6, 8, 200, 0x15, 12, 8, 3, 6, 0, 15, 0})
	f.Add([]byte{0, 255, 8, 255, 3, 0, 11, 0, 12, 1, 5, 6})
	f.Add([]byte{0, 255, 7, 0, 3, 0, 5, 6, 8, 8, 12, 1})
	f.Add([]byte{8, 100, 13, 0, 0, 1, 6, 0, 11, 0, 7, 0, 5, 6})
	f.Add([]byte{8, 100, 7, 0, 5, 6, 13, 0, 8, 50, 0x65, 6, 11, 0, 3, 0})
	for n := range byte(20) {
		f.Add([]byte{0, 100, 8, 50, 12, 5, 0, 50, 12, n, 8, 20, 5, 6})
		f.Add([]byte{0, 100, 8, 50, 14, n, 5, 6})
		f.Add([]byte{0, 100, 8, 50, 13, n * 13, 8, 9, 13, 0, 5, 6})
		f.Add([]byte{0, 100, 8, 50, 12, 5, 4 | n<<4, n, 0, 50, 8, 3, 6, 0, 5 | n<<4, 6, 12, 5})
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		synctest.Test(t, func(t *testing.T) {
			o := newOffsets(t)
			defer o.abort()
			o.check()
			for ops = ops[:min(len(ops), 120)]; len(ops) > 1; ops = ops[2:] {
				o.step(ops[0], int(ops[1]))
				o.check()
			}
			o.close()
		})
	})
}

// abort ends the session, after a failure too.
func (o *offsets) abort() {
	o.server.Abort()
	if o.peer != nil {
		o.peer.conn.Abort()
	}
	<-o.reading
}

// close ends the session, and checks that nothing is left of it.
func (o *offsets) close() {
	o.abort()
	if n, used := o.sessions.Len(), o.sessions.Used(); n != 0 || used != 0 {
		o.Errorf("got %d sessions and %d bytes after the end, want none", n, used)
	}
	if whole := len(o.got) == o.end && o.frozen < 0 && !o.lied; whole != errors.Is(o.readErr, io.EOF) && whole {
		o.Errorf("got %v from Read at the end of the stream, want EOF", o.readErr)
	}
}
