package fuzz

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// seed returns frames as other encoders make them.
func seed(client bool, frames ...ws.Frame) []byte {
	var b bytes.Buffer
	for _, f := range frames {
		if client {
			f = ws.MaskFrame(f)
		}
		_ = ws.WriteFrame(&b, f)
	}
	return b.Bytes()
}

// maxInput is how much of an input counts. The fuzzer can make small inputs
// smaller at once; with large ones it does nothing else.
const maxInput = 4 << 10

// FuzzFrames reads arbitrary bytes in both roles: nothing panics, how they are
// chopped up does not matter, and the payload is that which gobwas/ws finds.
func FuzzFrames(f *testing.F) {
	for _, masked := range []bool{false, true} {
		f.Add(seed(masked, ws.NewBinaryFrame([]byte("hello")), ws.NewPingFrame([]byte("p")),
			ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))), 3)
		f.Add(seed(masked, ws.NewFrame(ws.OpBinary, false, []byte("a")), ws.NewPingFrame(nil),
			ws.NewFrame(ws.OpContinuation, true, []byte("b"))), 1)
		f.Add(seed(masked, ws.NewTextFrame([]byte("text")), ws.NewBinaryFrame(make([]byte, 300))), 100)
		f.Add(seed(masked, ws.NewCloseFrame(ws.NewCloseFrameBody(1011, "no"))), 7)
	}
	f.Add([]byte{0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}, 5)
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 'x'}, 5)
	f.Fuzz(func(t *testing.T, raw []byte, chunk int) {
		raw, chunk = raw[:min(len(raw), maxInput)], max(1, chunk&0xffff)
		for _, client := range []bool{true, false} {
			want := decode(raw, client, len(raw)+1, 4096)
			for _, got := range []outcome{decode(raw, client, 1, 512), decode(raw, client, chunk, 1+chunk%50)} {
				if got.payload != want.payload || class(got.err) != class(want.err) || !reflect.DeepEqual(got.texts, want.texts) {
					t.Fatalf("client %v, in pieces: got %q %q %q, want %q %q %q", client,
						got.payload, got.texts, class(got.err), want.payload, want.texts, class(want.err))
				}
			}
			if reference := byGobwas(raw, client); !strings.HasPrefix(reference, want.payload) {
				t.Fatalf("client %v: got payload %q, gobwas/ws has %q", client, want.payload, reference)
			}
		}
	})
}

// byGobwas returns the binary payload that gobwas/ws finds in raw, up to the
// first frame that it refuses.
func byGobwas(raw []byte, client bool) string {
	r := bytes.NewReader(raw)
	state := ws.StateServerSide
	if client {
		state = ws.StateClientSide
	}
	var out strings.Builder
	message := ws.OpContinuation
	for {
		h, err := ws.ReadHeader(r)
		if err != nil || ws.CheckHeader(h, state) != nil {
			return out.String()
		}
		payload, _ := io.ReadAll(io.LimitReader(r, h.Length))
		if h.Masked {
			ws.Cipher(payload, h.Mask, 0)
		}
		if h.OpCode.IsControl() {
			continue
		}
		if h.OpCode != ws.OpContinuation {
			message = h.OpCode
		}
		state = state.Clear(ws.StateFragmented)
		if !h.Fin {
			state = state.Set(ws.StateFragmented)
		}
		if message == ws.OpBinary {
			out.Write(payload)
		}
	}
}

// FuzzRoundTrip writes data, an arbitrary pattern some times over, in arbitrary
// pieces and both roles, and reads it back; gobwas/ws agrees that the frames are right.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello, world"), 5, 3)
	f.Add([]byte("culvert "), 10000|1000<<20, 4096)
	f.Add([]byte("0123456789abcdef"), 70000|1023<<20, 0xffff)
	f.Fuzz(func(t *testing.T, data []byte, piece, maxFrame int) {
		data = bytes.Repeat(data[:min(len(data), 64)], 1+(piece>>20&0x3ff))
		piece, maxFrame = 1+(piece&0xfffff), 1+(maxFrame&0xffff)
		for _, client := range []bool{true, false} {
			out := &memConn{}
			cfg := &wsconn.Config{PingInterval: -1, MaxFrame: maxFrame}
			role := wsconn.Server
			if client {
				role = wsconn.Client
			}
			w := role(out, cfg)
			before := string(data)
			for rest := data; len(rest) > 0; {
				p := rest[:min(len(rest), piece)]
				if n, err := w.Write(p); n != len(p) || err != nil {
					t.Fatalf("Write: got %d, %v, want %d", n, err, len(p))
				}
				rest = rest[len(p):]
			}
			_ = w.Close()
			if string(data) != before {
				t.Fatal("Write changed the caller's data")
			}
			if got := decode(out.out, !client, len(out.out)+1, 4096); got.payload != before || class(got.err) != "EOF" {
				t.Fatalf("got %d bytes and %q, want %d and EOF", len(got.payload), class(got.err), len(data))
			}
			if got := byGobwas(out.out, !client); got != before {
				t.Fatalf("gobwas/ws: got %d bytes, want %d", len(got), len(data))
			}
		}
	})
}

// FuzzControl puts a control frame with an arbitrary opcode and payload between
// two messages: the first always arrives, the second if the frame was right
// and no Close.
func FuzzControl(f *testing.F) {
	f.Add(byte(ws.OpPing), []byte("are you there"), true)
	f.Add(byte(ws.OpPong), []byte{}, false)
	f.Add(byte(ws.OpClose), []byte{0x03, 0xe8}, true)
	f.Add(byte(ws.OpClose), []byte{0x03, 0xed}, false)
	f.Add(byte(ws.OpClose), []byte{3}, false)
	f.Fuzz(func(t *testing.T, op byte, payload []byte, client bool) {
		payload = payload[:min(len(payload), 200)]
		code := ws.OpCode(8 | op&7)
		frame := ws.NewFrame(code, true, append([]byte(nil), payload...))
		raw := seed(!client, ws.NewBinaryFrame([]byte("one")), frame, ws.NewBinaryFrame([]byte("two")))
		got := decode(raw, client, len(raw), 4096)
		want := "one"
		if (code == ws.OpPing || code == ws.OpPong) && len(payload) <= 125 {
			want = "onetwo"
		}
		if got.payload != want {
			t.Fatalf("%v with %d bytes: got %q (%v), want %q", code, len(payload), got.payload, got.err, want)
		}
	})
}
