package wsconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// chopped is a connection whose Read goes through another reader.
type chopped struct {
	net.Conn

	r io.Reader
}

func (c *chopped) Read(p []byte) (int, error) { return c.r.Read(p) }

// rawPair returns a Conn over net.Pipe, and the bare end that its peer has.
func rawPair(client bool, cfg *wsconn.Config) (*wsconn.Conn, net.Conn) {
	a, b := net.Pipe()
	if client {
		return wsconn.Client(a, cfg), b
	}
	return wsconn.Server(a, cfg), b
}

// encode encodes frames with gobwas/ws, masked if a client is to have sent them.
func encode(masked bool, list ...ws.Frame) []byte {
	var b bytes.Buffer
	for _, f := range list {
		if masked {
			f = ws.MaskFrame(f)
		}
		_ = ws.WriteFrame(&b, f) // a Buffer takes everything
	}
	return b.Bytes()
}

// readFrame reads a frame with gobwas/ws, and removes no mask.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// fragment is a data frame that does not end its message.
func fragment(op ws.OpCode, payload string) ws.Frame { return ws.NewFrame(op, false, []byte(payload)) }

// TestFragmentsAndControl mixes fragments, empty frames, texts and control
// frames, in both roles and chopped up in several ways.
func TestFragmentsAndControl(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader,
		"with EOF": iotest.DataErrReader,
	}
	for name, chop := range readers {
		for _, client := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/client=%v", name, client), func(t *testing.T) {
				raw := encode(!client,
					ws.NewPongFrame([]byte("unasked")),
					fragment(ws.OpBinary, "a"), ws.NewPingFrame(nil), fragment(ws.OpContinuation, ""),
					ws.NewFrame(ws.OpContinuation, true, []byte("bc")),
					fragment(ws.OpText, "te"), ws.NewPingFrame([]byte("in a text")),
					ws.NewFrame(ws.OpContinuation, true, []byte("xt\u00e9")),
					ws.NewBinaryFrame(nil), ws.NewTextFrame(nil), ws.NewBinaryFrame(bytes.Repeat([]byte("d"), 70_000)),
					ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
				var texts []string
				bare, far := net.Pipe()
				role := map[bool]func(net.Conn, *wsconn.Config) *wsconn.Conn{false: wsconn.Server, true: wsconn.Client}[client]
				cfg := &wsconn.Config{OnText: func(b []byte) { texts = append(texts, string(b)) }}
				conn := role(&chopped{bare, chop(bytes.NewReader(raw))}, cfg)
				defer conn.Close()
				defer far.Close()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				got, err := io.ReadAll(conn)
				if want := "abc" + strings.Repeat("d", 70_000); err != nil || string(got) != want {
					t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
				}
				if want := []string{"text\u00e9", ""}; fmt.Sprint(texts) != fmt.Sprint(want) {
					t.Errorf("got texts %q, want %q", texts, want)
				}
			})
		}
	}
}

// TestClientRefuses sends a client what a server must not send; its Close
// frame says so and is masked.
func TestClientRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		raw        []byte
		code       uint16
	}{
		{"masked", "must be not masked", encode(true, ws.NewBinaryFrame([]byte("x"))), 1002},
		{"rsv2", "rsv", []byte{0xa2, 0}, 1002},
		{"rsv3", "rsv", []byte{0x92, 0}, 1002},
		{"opcode 7", "reserved op code", []byte{0x87, 0}, 1002},
		{"opcode 15", "reserved op code", []byte{0x8f, 0}, 1002},
		{"new message in a fragmented one", "continuation", encode(false, fragment(ws.OpBinary, ""), ws.NewBinaryFrame(nil)), 1002},
		{"text in a fragmented message", "continuation", encode(false, fragment(ws.OpBinary, ""), ws.NewTextFrame(nil)), 1002},
		{"fragmented text", "too long", encode(false, fragment(ws.OpText, "abc"), ws.NewFrame(ws.OpContinuation, true, []byte("de"))),
			1009},
		{"empty text", "text message", encode(false, ws.NewTextFrame(nil)), 1003},
		{"huge ping", "payload limit", []byte{0x89, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 1002},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, far := rawPair(true, &wsconn.Config{MaxText: 4})
			defer conn.Close()
			defer far.Close()
			go func() { _, _ = far.Write(tt.raw) }()
			_, err := conn.Read(make([]byte, 64))
			var violation *wsconn.ProtocolError
			if !errors.As(err, &violation) || violation.Code != tt.code || !strings.Contains(violation.Reason, tt.want) {
				t.Fatalf("got %v, want a ProtocolError with %d and %q", err, tt.code, tt.want)
			}
			f, err := readFrame(far)
			if err != nil || f.Header.OpCode != ws.OpClose || !f.Header.Masked {
				t.Fatalf("got %+v, %v, want a masked Close frame", f.Header, err)
			}
			if code, reason := ws.ParseCloseFrameData(ws.UnmaskFrame(f).Payload); uint16(code) != tt.code || reason != violation.Reason {
				t.Errorf("the peer was told %d %q, want %d %q", code, reason, tt.code, violation.Reason)
			}
			if _, again := conn.Read(make([]byte, 1)); !errors.Is(again, violation) {
				t.Errorf("a second Read: got %v, want the same error", again)
			}
			if _, err := conn.Write([]byte("x")); !errors.As(err, &violation) {
				t.Errorf("Write: got %v, want the ProtocolError", err)
			}
		})
	}
}

// TestPeerCloseCodes goes through the registry of close codes.
func TestPeerCloseCodes(t *testing.T) {
	want := func(code uint16) string {
		switch {
		case code == 1000 || code == 1001:
			return "EOF"
		case code >= 1002 && code <= 1014 && code != 1004 && code != 1005 && code != 1006, code >= 3000 && code <= 4999:
			return fmt.Sprintf("wsconn: peer closed with code %d: why", code)
		default:
			return "wsconn: peer violated the protocol: close code that must not be sent"
		}
	}
	for _, code := range []uint16{
		0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016,
		2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535,
	} {
		conn, far := rawPair(false, nil)
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() {
			_, _ = far.Write(encode(true, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "why"))))
		}()
		if _, err := conn.Read(make([]byte, 1)); err.Error() != want(code) {
			t.Errorf("%d: got %v, want %s", code, err, want(code))
		}
		_ = conn.Close()
		_ = far.Close()
	}
}

// TestPingWhileWriteIsBlocked checks that Read goes on while a Write and the
// PONG behind it wait for a peer that does not read yet, and that of several
// PINGs the latest is answered.
func TestPingWhileWriteIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, far := rawPair(false, nil)
		wrote := make(chan error, 1)
		go func() { _, err := conn.Write([]byte("blocked")); wrote <- err }()
		synctest.Wait()
		go func() {
			_, _ = far.Write(encode(true, ws.NewPingFrame([]byte("one")), ws.NewPingFrame([]byte("two")),
				ws.NewBinaryFrame([]byte("data"))))
		}()
		got := make([]byte, 4)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "data" {
			t.Fatalf("got %q, %v, want data", got, err)
		}
		synctest.Wait()
		for _, want := range []ws.Frame{ws.NewBinaryFrame([]byte("blocked")), ws.NewPongFrame([]byte("two"))} {
			f, err := readFrame(far)
			if err != nil || f.Header != want.Header || !bytes.Equal(f.Payload, want.Payload) {
				t.Errorf("got %v %q, %v, want %v %q", f.Header.OpCode, f.Payload, err, want.Header.OpCode, want.Payload)
			}
		}
		if err := <-wrote; err != nil {
			t.Errorf("Write: got %v, want nil", err)
		}
		_ = far.Close()
		_ = conn.Close()
	})
}

// TestControlRate allows a burst of control frames, and then one per interval.
func TestControlRate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cfg   *wsconn.Config
		pause time.Duration
		burst int
		after int // how many pass, one after each pause, behind the burst
	}{
		{"defaults, in time", nil, 16 * time.Millisecond, 64, 200},
		{"defaults, at once", nil, 0, 64, 0},
		{"defaults, too fast", nil, 15 * time.Millisecond, 64, 0},
		{"own limits", &wsconn.Config{ControlBurst: 2, ControlInterval: time.Second}, time.Second, 2, 200},
		{"own limits, at once", &wsconn.Config{ControlBurst: 2, ControlInterval: time.Second}, 0, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, far := rawPair(false, tt.cfg)
				go func() { _, _ = io.Copy(io.Discard, far) }()
				result := make(chan error, 1)
				go func() { _, err := conn.Read(make([]byte, 1)); result <- err }()
				pong := encode(true, ws.NewPongFrame(nil))
				passed := 0
				for ; passed < tt.burst+200; passed++ {
					if passed >= tt.burst {
						<-time.After(tt.pause)
					}
					_, _ = far.Write(pong)
					synctest.Wait()
					if len(result) > 0 {
						break
					}
				}
				if want := tt.burst + tt.after; passed != want {
					t.Errorf("got %d control frames through, want %d", passed, want)
				}
				_ = conn.Close()
				_ = far.Close()
				var violation *wsconn.ProtocolError
				if err := <-result; tt.after < 200 && (!errors.As(err, &violation) || violation.Code != 1008) {
					t.Errorf("got %v, want a ProtocolError with 1008", err)
				}
			})
		})
	}
}
