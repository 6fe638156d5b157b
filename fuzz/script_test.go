package fuzz

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"

	"culvert/fuzz/internal/script"
	"culvert/wsconn"
)

// calmConn is a memConn in a bubble. Before its last Read, and if patient
// before each, it waits until nothing else is left to be done.
type calmConn struct {
	memConn

	patient bool
}

func (c *calmConn) Read(p []byte) (int, error) {
	if c.patient || len(c.in) == 0 {
		synctest.Wait()
	}
	return c.memConn.Read(p)
}

// played is what became of a script.
type played struct {
	payload []byte
	texts   []string
	err     error
	frames  []ws.Frame // that were sent
}

// play gives raw to a WebSocket, which must leave no goroutine behind: a
// bubble does not end without them.
func play(t *testing.T, raw []byte, client, texts bool, chunk int, patient bool) (p played) {
	synctest.Test(t, func(t *testing.T) {
		c := &calmConn{memConn: memConn{in: bytes.Clone(raw), chunk: chunk}, patient: patient}
		cfg := quiet(&p.texts)
		if !texts {
			cfg.OnText = nil
		}
		role := wsconn.Server
		if client {
			role = wsconn.Client
		}
		conn := role(c, cfg)
		for b := make([]byte, 1+chunk%100); p.err == nil; {
			var n int
			n, p.err = conn.Read(b)
			p.payload = append(p.payload, b[:n]...)
		}
		synctest.Wait()
		_ = conn.CloseWith(wsconn.CloseTryAgainLater, "cut")
		p.frames = sent(t, c.out, client)
	})
	return p
}

// sent returns the frames in out, which all have to be whole and right.
func sent(t *testing.T, out []byte, client bool) (frames []ws.Frame) {
	state := ws.StateClientSide
	if client {
		state = ws.StateServerSide
	}
	for r := bytes.NewReader(out); r.Len() > 0; {
		f, err := ws.ReadFrame(r)
		if err == nil {
			err = ws.CheckHeader(f.Header, state)
		}
		if err != nil {
			t.Fatalf("sent a frame that is none: %v in %x", err, out)
		}
		if f.Header.Masked {
			f = ws.UnmaskFrame(f)
		}
		frames = append(frames, f)
	}
	return frames
}

// FuzzScript plays sequences of frames of which it is known what they mean,
// however they are chopped up: binary payload and texts arrive unchanged and
// all, PINGs are answered in order, at least the last one, and each if there is
// time; a violation and a Close are answered by one Close frame with the right
// code, and nothing follows it.
func FuzzScript(f *testing.F) {
	for _, client := range []bool{false, true} {
		for kind := range byte(32) { // each violation, each way to close and to be cut, in mid-message
			for _, op := range []byte{12, 13, 15} {
				f.Add([]byte{0x10, 5, 1, 8, 3, 2, op, kind * 9, kind, 7, 'x'}, client, true, 7)
			}
			f.Add([]byte{0x15, 7, 1, 8, 0, 2, 13, kind * 9, 3}, client, true, 1)
		}
		f.Add([]byte{8, 1, 1, 8, 2, 2, 0x65, 9, 1, 0x45, 0xff, 3, 10, 125, 0}, client, true, 3)
		f.Add([]byte{0xe0, 255, 1, 0xd0, 200, 2, 0x30, 0, 3, 0, 1, 1}, client, false, 1000)
		f.Add([]byte{0x95, 200, 1, 0x95, 200, 1, 5, 1}, client, true, 100)
		f.Add([]byte{5, 200, 1}, client, false, 100)
	}
	f.Fuzz(func(t *testing.T, src []byte, client, texts bool, chunk int) {
		s := script.New(src[:min(len(src), 300)], !client, texts)
		chunk = max(1, chunk&0xfff)
		patient := chunk == 1 && len(s.Raw) <= 2000
		p := play(t, s.Raw, client, texts, chunk, patient)
		if !bytes.Equal(p.payload, s.Payload) || !reflect.DeepEqual(p.texts, s.Texts) || kind(p.err) != s.End {
			t.Fatalf("client %v: got %q, texts %q, %v, want %q, %q, %s", client, p.payload, p.texts, p.err, s.Payload, s.Texts, s.End)
		}
		checkAnswers(t, p, s, patient)
		if m := (&model{state: ws.StateServerSide}); texts && !client {
			if end := m.run(s.Raw[:s.Size]); end != s.End || m.payload.String() != string(s.Payload) {
				t.Fatalf("the models do not agree: %q, %q and %q, %q", s.End, s.Payload, end, m.payload.String())
			}
		}
	})
}

// checkAnswers checks what was sent: PONGs, and at last one Close frame.
func checkAnswers(t *testing.T, p played, s *script.Script, patient bool) {
	t.Helper()
	last := len(p.frames) - 1
	if last < 0 {
		t.Fatal("got no Close frame")
	}
	var pongs []string
	for _, f := range p.frames[:last] {
		if f.Header.OpCode != ws.OpPong {
			t.Fatalf("got %v, want a PONG", f.Header.OpCode)
		}
		pongs = append(pongs, string(f.Payload))
	}
	want := s.Pings
	for _, pong := range pongs {
		i := slices.Index(want, pong)
		if i < 0 {
			t.Fatalf("got a PONG with %q, want one of %q", pong, want)
		}
		want = want[i+1:]
	}
	if n := len(s.Pings); n > 0 && (len(pongs) == 0 || pongs[len(pongs)-1] != s.Pings[n-1] || patient && len(pongs) != n) {
		t.Fatalf("got %d PONGs %q for PINGs %q", len(pongs), pongs, s.Pings)
	}
	code, body := uint16(wsconn.CloseNoStatus), p.frames[last].Payload
	if len(body) >= 2 {
		code = binary.BigEndian.Uint16(body)
	}
	wantCode := s.Code
	if wantCode == 0 {
		wantCode = wsconn.CloseTryAgainLater
	}
	if op := p.frames[last].Header.OpCode; op != ws.OpClose || code != wantCode || len(body) == 1 {
		t.Fatalf("got %v with %d %q at the end, want a Close frame with %d", op, code, body, wantCode)
	}
}
