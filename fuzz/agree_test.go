package fuzz

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxText is the longest text message that Config accepts by default.
const maxText = 4 << 10

// model is what one direction of a WebSocket holds according to gobwas/ws and
// the rules of wsconn for what frames mean.
type model struct {
	state   ws.State
	message ws.OpCode
	payload bytes.Buffer
	text    []byte
	texts   []string
}

// run reads frames until the end and names how it ends.
func (m *model) run(raw []byte) string {
	r := bytes.NewReader(raw)
	for {
		h, err := ws.ReadHeader(r)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return "cut"
		case err != nil || ws.CheckHeader(h, m.state) != nil:
			return "violation"
		}
		payload, _ := io.ReadAll(io.LimitReader(r, h.Length))
		whole := int64(len(payload)) == h.Length
		if h.Masked {
			ws.Cipher(payload, h.Mask, 0)
		}
		end := ""
		if h.OpCode.IsControl() {
			end = control(h, payload, whole)
		} else {
			end = m.data(h, payload, whole)
		}
		switch {
		case end != "":
			return end
		case !whole:
			return "cut"
		}
	}
}

func control(h ws.Header, payload []byte, whole bool) string {
	if !whole || h.OpCode != ws.OpClose {
		return ""
	}
	if len(payload) == 0 {
		return "EOF"
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if code == 1012 || code == 1013 || code == 1014 { // registered since gobwas/ws was written
		code = 3000
	}
	switch {
	case code >= 5000 || ws.CheckCloseFrameData(code, reason) != nil: // Section 7.4.2 ends at 4999
		return "violation"
	case code == 1000 || code == 1001:
		return "EOF"
	default:
		return "closed"
	}
}

func (m *model) data(h ws.Header, payload []byte, whole bool) string {
	if h.OpCode != ws.OpContinuation {
		m.message = h.OpCode
	}
	m.state = m.state.Clear(ws.StateFragmented)
	if !h.Fin {
		m.state = m.state.Set(ws.StateFragmented)
	}
	if m.message == ws.OpBinary {
		m.payload.Write(payload)
		return ""
	}
	m.text = append(m.text, payload...)
	switch {
	case len(m.text) > maxText:
		return "violation"
	case !whole || !h.Fin:
		return ""
	case !utf8.Valid(m.text):
		return "violation"
	}
	m.texts = append(m.texts, string(m.text))
	m.text = nil
	return ""
}

// kind is class without the details.
func kind(err error) string {
	switch c := class(err); {
	case strings.Contains(c, "violated"):
		return "violation"
	case strings.Contains(c, "peer closed"):
		return "closed"
	default:
		return c
	}
}

// allocated returns how many bytes were allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// FuzzAgree holds the decoder against gobwas/ws: the same payload, the same
// texts, the same end, and no memory for a length that is only declared.
func FuzzAgree(f *testing.F) {
	for _, masked := range []bool{false, true} {
		f.Add(seed(masked, ws.NewBinaryFrame([]byte("hello")), ws.NewPingFrame([]byte("p")),
			ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))), masked)
		f.Add(seed(masked, ws.NewFrame(ws.OpBinary, false, []byte("a")), ws.NewPongFrame(nil),
			ws.NewFrame(ws.OpContinuation, true, []byte("b"))), masked)
		f.Add(seed(masked, ws.NewFrame(ws.OpText, false, []byte("te")), ws.NewFrame(ws.OpContinuation, true, []byte("xt")),
			ws.NewBinaryFrame(nil)), masked)
		f.Add(seed(masked, ws.NewTextFrame(make([]byte, 200)), ws.NewTextFrame(nil)), masked)
		f.Add(seed(masked, ws.NewTextFrame([]byte("\xff"))), masked)
		f.Add(seed(masked, ws.NewBinaryFrame(make([]byte, 300)), ws.NewBinaryFrame(make([]byte, 300)),
			ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "own"))), masked)
		for _, body := range [][]byte{nil, {3}, {3, 0xed}, {3, 0xe8, 0xff}, {3, 0xf5}, {0x13, 0x88}} {
			f.Add(seed(masked, ws.NewBinaryFrame([]byte("x")), ws.NewCloseFrame(body)), masked)
		}
		f.Add([]byte{0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}, masked)
		f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 'x'}, masked)
		f.Add([]byte{0x81, 0x7f, 0, 0, 0, 0xff, 0, 0, 0, 0, 'x'}, masked)
		f.Add([]byte{0xc2, 0}, masked)
		f.Add([]byte{0x83, 0x80, 0, 0, 0, 0}, masked)
		f.Add([]byte{0x09, 0x80, 0, 0, 0, 0}, masked)
	}
	f.Fuzz(func(t *testing.T, raw []byte, server bool) { agree(t, raw[:min(len(raw), maxInput)], server) })
}

// TestAgreeAtLimits is FuzzAgree with messages that are too large to be seeds:
// the fuzzer would spend its time on making them smaller.
func TestAgreeAtLimits(t *testing.T) {
	for _, server := range []bool{false, true} {
		for _, size := range []int{125, 126, 65535, 65536, 70000} {
			agree(t, seed(server, ws.NewBinaryFrame(make([]byte, size)), ws.NewPingFrame(nil), ws.NewBinaryFrame([]byte("x"))), server)
		}
		for _, size := range []int{maxText, maxText + 1} {
			text := strings.Repeat("t", size)
			agree(t, seed(server, ws.NewTextFrame([]byte(text)), ws.NewBinaryFrame([]byte("x"))), server)
			agree(t, seed(server, ws.NewFrame(ws.OpText, false, []byte(text[1:])), ws.NewFrame(ws.OpContinuation, true, []byte("t"))),
				server)
		}
	}
}

// agree compares the two on raw, the input of a server or a client.
func agree(t *testing.T, raw []byte, server bool) {
	before := allocated()
	got := decode(raw, !server, len(raw)+1, 1000)
	if used, limit := allocated()-before, uint64(1<<20+64*len(raw)); used > limit {
		t.Errorf("got %d bytes allocated for an input of %d", used, len(raw))
	}
	m := &model{state: ws.StateClientSide}
	if server {
		m.state = ws.StateServerSide
	}
	end := m.run(raw)
	if got.payload != m.payload.String() || kind(got.err) != end || !reflect.DeepEqual(got.texts, m.texts) {
		t.Fatalf("server %v: got %q, texts %q, %s (%v), want %q, %q, %s", server,
			got.payload, got.texts, kind(got.err), got.err, m.payload.String(), m.texts, end)
	}
}
