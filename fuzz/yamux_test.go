package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"culvert/mux"
)

// yamuxFrames makes frames of src, so that most of them are right.
func yamuxFrames(src []byte) (raw []byte) {
	take := func() (b byte) {
		if len(src) > 0 {
			b, src = src[0], src[1:]
		}
		return b
	}
	for len(src) > 0 && len(raw) < maxInput-300 {
		kind := [...]byte{0, 0, 0, 0, 1, 1, 2, 3}[src[0]&7]
		odd := take() >> 3 // 0 as a rule
		flags := [...]uint16{0, 0, 0, 0, 1, 1, 1, 2, 4, 4, 8, 5, 9, 12, 0xfff0, 0xffff}[take()&15]
		id, length := uint32(take()), uint32(take())
		body := make([]byte, 0)
		switch {
		case kind == yamuxData:
			body = bytes.Repeat([]byte{byte(len(raw))}, int(length))
		case kind == yamuxGoAway:
			length /= 200
		}
		switch odd {
		case 1:
			length = []uint32{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1 - yamuxInitial, 1<<32 - yamuxInitial, 1<<32 - 1}[length%7]
		case 2:
			length += yamuxInitial - 100
		case 3:
			kind = byte(id)
		case 4:
			id |= 0xffffff00
		default:
			id %= 12
		}
		raw = append(raw, yamuxFrame(kind, flags, id, length, body...)...)
		if odd == 5 {
			raw[len(raw)-len(body)-12] = 1 // version
		}
	}
	return raw
}

// yamuxRead is what was read of a stream.
type yamuxRead struct {
	data []byte
	err  error
}

// yamuxPlayed is what a session made of its input.
type yamuxPlayed struct {
	opened   [2]yamuxRead
	accepted []*yamuxRead
	err      error
	sent     []byte
}

// playYamux gives raw to a session, all streams of which are being read.
func playYamux(t *testing.T, raw []byte, client, first bool, chunk int, patient bool) (p yamuxPlayed) {
	synctest.Test(t, func(t *testing.T) {
		c := &calmConn{memConn: memConn{in: bytes.Clone(raw), chunk: chunk}, patient: patient}
		start := mux.Server
		if client {
			start = mux.Client
		}
		hold := &heldConn{calmConn: c, begin: make(chan struct{})}
		s, err := start(hold, &mux.Config{MaxStreams: yamuxStreams, StreamWindow: yamuxInitial, FirstStream: first})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		read := func(c net.Conn, r *yamuxRead) {
			for b := make([]byte, 1+chunk%2000); r.err == nil; {
				var n int
				n, r.err = c.Read(b)
				r.data = append(r.data, b[:n]...)
			}
			if patient && errors.Is(r.err, syscall.ECONNRESET) {
				_ = c.Close() // before the next byte comes
			}
		}
		for i := range p.opened {
			st, err := s.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				_ = st.Close()
			}
			wg.Go(func() { read(st, &p.opened[i]) })
		}
		wg.Go(func() {
			for {
				st, err := s.Accept()
				if err != nil {
					return
				}
				r := &yamuxRead{}
				p.accepted = append(p.accepted, r)
				wg.Go(func() { read(st, r) })
			}
		})
		synctest.Wait()
		close(hold.begin)
		<-s.Done()
		p.err = s.Err()
		_ = s.Close()
		wg.Wait()
		p.sent = c.out
	})
	return p
}

// heldConn is a connection on which nothing comes before begin is closed.
type heldConn struct {
	*calmConn

	begin chan struct{}
}

func (c *heldConn) Read(p []byte) (int, error) {
	<-c.begin
	return c.calmConn.Read(p)
}

// FuzzYamux gives a session in either role bytes, as they are or as frames that
// are nearly right, in pieces. Each stream delivers the data that came for it
// and ends as it has to, pings and streams are answered, or refused, as the
// protocol says, a violation ends the session and the peer is told, no memory
// is taken for a length that is only declared, and no goroutine is left.
func FuzzYamux(f *testing.F) {
	for _, client := range []bool{false, true} {
		id := byte(1) // of a stream of the peer
		if client {
			id = 2
		}
		open := []byte{0, 4, id, 5, 0, 0, id, 5, 0, 4, id + 2, 3}
		for last := range byte(16) { // each combination of flags, each oddity
			for _, chunk := range []int{0, 6, 4000} {
				f.Add(append(bytes.Clone(open), 0, last, id, 3, 0, 0, id, 3), true, client, last&1 == 0, chunk)
				f.Add(append(bytes.Clone(open), last%7<<3, 0, id, last, 0, 0, id+1, 3), true, client, false, chunk)
			}
			f.Add(append(bytes.Clone(open), 4|last%7<<3, last, id, last, 4, 1, id+1, 9), true, client, false, 0)
		}
		var many []byte // streams, too many, and then one less
		for i := range byte(6) {
			many = append(many, 0, 4, 2*i+id, 1)
		}
		many = append(many, 4, 10, id+2, 0, 0, 4, id+2, 9, 0, 4, id+8, 1)
		for _, chunk := range []int{0, 30} {
			f.Add(many, true, client, false, chunk)
			f.Add(many, true, client, true, chunk)
		}
		for n := byte(90); n < 110; n++ { // the window
			f.Add([]byte{0, 4, id, 5, 0x10, 0, id, n}, true, client, false, 4000)
		}
		f.Add([]byte{0, 0, 1, 3, 0, 4, 1, 2, 0, 4, 1, 2}, true, client, true, 30) // the first stream, opened late, and again
		for mine := range byte(2) {                                               // what this side has opened
			f.Add([]byte{0, 0, 2*mine + 3 - id, 3, 4, 0, 2*mine + 3 - id, 1, 4, 8, 2*mine + 3 - id, 0}, true, client, false, 0)
		}
		f.Add([]byte{6, 4, 0, 7, 6, 7, 0, 8, 7, 0, 0, 0, 6, 4, 0, 9, 7, 0, 0, 255}, true, client, true, 3000)
		f.Add(yamuxFrame(yamuxData, yamuxSYN, uint32(id), 1<<18, []byte("hello")...), false, client, false, 11)
		f.Add(yamuxFrame(yamuxData, yamuxSYN, uint32(id), 5, []byte("hello")...)[:16], false, client, false, 11)
	}
	f.Fuzz(func(t *testing.T, src []byte, scripted, client, first bool, chunk int) {
		raw := src[:min(len(src), maxInput)]
		if scripted {
			raw = yamuxFrames(raw)
		}
		chunk = 1 + (chunk & 0xfff)
		patient := chunk == 1
		before := allocated()
		p := playYamux(t, raw, client, first, chunk, patient)
		if used, limit := allocated()-before, uint64(2<<20+64*len(raw)); used > limit {
			t.Errorf("got %d bytes allocated for an input of %d", used, len(raw))
		}
		m := newYamuxModel(client, first, patient)
		m.run(raw)
		if got := yamuxEnd(p.err); got != m.end {
			t.Fatalf("got %v, want %s after %x", p.err, m.end, raw)
		}
		m.checkStreams(t, p)
		m.checkSent(t, p.sent, patient)
	})
}

// yamuxEnd names how a session or stream ended.
func yamuxEnd(err error) string {
	switch {
	case err == io.EOF: //nolint:errorlint // the bare one is promised
		return "EOF"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case strings.Contains(err.Error(), "violated"):
		return "violation"
	case strings.Contains(err.Error(), "gave up"):
		return "gave up"
	}
	return "unknown: " + err.Error()
}

// checkStreams checks what was read. When the session ends otherwise than in
// order, a stream may end with it before Accept returns it.
func (m *yamuxModel) checkStreams(t *testing.T, p yamuxPlayed) {
	t.Helper()
	if n := len(p.accepted); n > len(m.accepted) || m.end == "EOF" && n < len(m.accepted) {
		t.Fatalf("got %d streams, want %d", n, len(m.accepted))
	}
	for i, r := range p.accepted {
		m.checkStream(t, r, m.accepted[i])
	}
	for i := range p.opened {
		m.checkStream(t, &p.opened[i], m.opened[i])
	}
}

func (m *yamuxModel) checkStream(t *testing.T, r *yamuxRead, want *yamuxStream) {
	t.Helper()
	end := m.end
	switch {
	case want.closed:
		end = "closed"
	case want.finished:
		end = "EOF"
	case want.reset:
		end = "reset"
	}
	if !bytes.Equal(r.data, want.data) || yamuxEnd(r.err) != end {
		t.Fatalf("stream %d: got %q, %v, want %q, %s", want.id, r.data, r.err, want.data, end)
	}
}

// checkSent checks what the session has sent: what it owes, in order. At a
// violation what it still owes may stay away, and at last it says why, if it
// can do so at once.
func (m *yamuxModel) checkSent(t *testing.T, b []byte, patient bool) {
	t.Helper()
	var got []string
	for ; len(b) >= 12; b = b[12:] {
		if b[0] != 0 || b[1] == yamuxData {
			t.Fatalf("sent %x", b)
		}
		got = append(got, fmt.Sprint(b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])))
	}
	goAway := fmt.Sprint(yamuxGoAway, 0, 0, 1)
	last := len(got) - 1
	switch told := last >= 0 && got[last] == goAway; {
	case told && m.end == "violation":
		got = got[:last]
	case told || patient && m.end == "violation":
		t.Fatalf("got a GoAway %v after %s: %q", told, m.end, got)
	}
	n := len(got)
	if len(b) > 0 || n > len(m.answers) || m.end == "EOF" && n < len(m.answers) || !slices.Equal(got, m.answers[:n]) {
		t.Fatalf("got the frames %q and %x, want %q", got, b, m.answers)
	}
}
