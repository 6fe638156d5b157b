package wsconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// roles has the constructor of each end.
var roles = map[string]func(net.Conn, *wsconn.Config) *wsconn.Conn{
	"client": wsconn.Client, "server": wsconn.Server,
}

// written returns a Conn in the given role that reads one piece after the other and
// then the end of the connection.
func written(t *testing.T, role string, pieces ...[]byte) *wsconn.Conn {
	t.Helper()
	near, far := net.Pipe()
	conn := roles[role](near, &wsconn.Config{PingInterval: -1})
	go func() {
		for _, raw := range pieces {
			_, _ = far.Write(raw) // what the Conn makes of it counts
		}
		_ = far.Close()
	}()
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// frame returns a frame to a Conn in the given role, made by gobwas/ws.
func frame(t *testing.T, role string, f ws.Frame) []byte {
	t.Helper()
	if role == "server" {
		f = ws.MaskFrameWith(f, [4]byte{0x5a, 1, 0, 0xff})
	}
	raw, err := ws.CompileFrame(f)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestShortMessages has messages of each length around that up to which they are
// decoded at once, whole, with the next one behind and behind half of a message.
func TestShortMessages(t *testing.T) {
	for role := range roles {
		for n := range 160 {
			payload := make([]byte, n)
			for i := range payload {
				payload[i] = byte(i + n)
			}
			message := func() ws.Frame { return ws.NewBinaryFrame(bytes.Clone(payload)) }
			first := frame(t, role, ws.NewFrame(ws.OpBinary, false, []byte("first,")))
			rest := frame(t, role, ws.NewFrame(ws.OpContinuation, true, bytes.Clone(payload)))
			for name, tt := range map[string]struct{ raw, want []byte }{
				"one":        {frame(t, role, message()), payload},
				"two":        {bytes.Repeat(frame(t, role, message()), 2), bytes.Repeat(payload, 2)},
				"fragmented": {append(first, rest...), append([]byte("first,"), payload...)},
			} {
				got := make([]byte, len(tt.want))
				if _, err := io.ReadFull(written(t, role, tt.raw), got); err != nil || !bytes.Equal(got, tt.want) {
					t.Errorf("%s, %s of %d bytes: got %q, %v, want %q", role, name, n, got, err, tt.want)
				}
			}
		}
	}
}

// TestShortInLongForm has a length of 124 in the form for 126 and more, so that as
// many bytes follow the first two as these seem to say.
func TestShortInLongForm(t *testing.T) {
	want := bytes.Repeat([]byte("long form "), 13)[:124]
	for role := range roles {
		short := frame(t, role, ws.NewBinaryFrame(bytes.Clone(want)))
		raw := append([]byte{short[0], short[1]&0x80 | 126, 0, 124}, short[2:]...)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(written(t, role, raw), got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", role, got, err, want)
		}
	}
}

// TestShortWithin has in one piece what would be a short message, were it not a
// part of one.
func TestShortWithin(t *testing.T) {
	for role := range roles {
		inner := frame(t, role, ws.NewBinaryFrame([]byte("inner")))
		header := []byte{0x82, byte(len(inner))}
		if role == "server" {
			header = append(header, 0, 0, 0, 0)
			header[1] |= 0x80
		}
		got, err := io.ReadAll(written(t, role, header, inner))
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, inner) {
			t.Errorf("%s: got %q, %v, want %q", role, got, err, inner)
		}
	}
	// The second byte of a header, a key, and 2 bytes.
	got, err := io.ReadAll(written(t, "server", []byte{0x82}, []byte{0x82, 0x81, 1, 2, 3, 'o' ^ 0x81, 'k' ^ 1}))
	if !errors.Is(err, io.ErrUnexpectedEOF) || string(got) != "ok" {
		t.Errorf("got %q, %v, want ok", got, err)
	}
}

// TestShortOffences refuses what looks nearly like a short message.
func TestShortOffences(t *testing.T) {
	for role, peer := range map[string]string{"client": "server", "server": "client"} {
		whole := frame(t, role, ws.NewBinaryFrame([]byte("hello")))
		first := frame(t, role, ws.NewFrame(ws.OpBinary, false, []byte("first,")))
		reserved := bytes.Clone(whole)
		reserved[0] |= 0x40
		for name, pieces := range map[string][][]byte{
			"masked where it must not be, or not where it must": {frame(t, peer, ws.NewBinaryFrame([]byte("hello")))},
			"within a fragmented message":                       {first, whole},
			"with a reserved bit":                               {reserved},
		} {
			_, err := io.ReadAll(written(t, role, pieces...))
			if protocol := new(wsconn.ProtocolError); !errors.As(err, &protocol) {
				t.Errorf("%s, %s: got %v, want a ProtocolError", role, name, err)
			}
		}
	}
}
