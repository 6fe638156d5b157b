package wsconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// frames encodes frames as another implementation does.
func frames(masked bool, list ...ws.Frame) []byte {
	var b bytes.Buffer
	for _, f := range list {
		if masked {
			f = ws.MaskFrame(f)
		}
		_ = ws.WriteFrame(&b, f)
	}
	return b.Bytes()
}

// reply is what a peer sees after it sent raw bytes: everything that came back.
func reply(t *testing.T, raw []byte, cfg *wsconn.Config) (payload string, err error, back []byte) {
	t.Helper()
	peer, c := net.Pipe()
	conn := wsconn.Server(c, cfg)
	read := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(peer)
		read <- b
	}()
	go func() {
		_, _ = peer.Write(raw)
		_ = peer.SetWriteDeadline(time.Unix(1, 0))
	}()
	got, err := io.ReadAll(conn)
	_ = conn.Close()
	_ = peer.Close()
	return string(got), err, <-read
}

// closeCode returns the code of the Close frame that back ends with.
func closeCode(back []byte) int {
	r := bytes.NewReader(back)
	for {
		f, err := ws.ReadFrame(r)
		if err != nil {
			return 0
		}
		if f.Header.OpCode == ws.OpClose {
			code, _ := ws.ParseCloseFrameData(f.Payload)
			return int(code)
		}
	}
}

// TestProtocolErrors sends what RFC 6455 forbids behind a good message: that
// message arrives, then comes a *ProtocolError, and the peer is told the code.
func TestProtocolErrors(t *testing.T) {
	good := frames(true, ws.NewBinaryFrame([]byte("good")))
	mask := func(b ...byte) []byte { // a header whose mask bit is set, with a mask of zeros
		b[1] |= 0x80
		return append(b, 0, 0, 0, 0)
	}
	tests := []struct {
		name, want string
		raw        []byte
		code       int
	}{
		{"not masked", "must be masked", []byte{0x82, 1, 'x'}, 1002},
		{"reserved bit", "rsv", mask(0xc2, 0), 1002},
		{"reserved opcode", "reserved op code", mask(0x83, 0), 1002},
		{"fragmented control", "not final", mask(0x09, 0), 1002},
		{"long control", "payload limit", []byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}, 1002},
		{"2^63", "2^63", mask(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0), 1002},
		{"continuation of nothing", "unexpected continuation", mask(0x80, 0), 1002},
		{"half a close code", "half a code", append(mask(0x88, 1), 3), 1002},
		{"code 1005", "must not be sent", frames(true, ws.NewCloseFrame([]byte{0x03, 0xed})), 1002},
		{"code 999", "must not be sent", frames(true, ws.NewCloseFrame([]byte{0x03, 0xe7})), 1002},
		{"reason", "UTF-8", frames(true, ws.NewCloseFrame([]byte{0x03, 0xe8, 0xff})), 1002},
		{"text", "text message", frames(true, ws.NewTextFrame([]byte("hello"))), 1003},
		{"long text", "too long", frames(true, ws.NewTextFrame(make([]byte, 5000))), 1009},
		{"pings", "too fast", bytes.Repeat(frames(true, ws.NewPingFrame(nil)), 200), 1008},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload, err, back := reply(t, append(bytes.Clone(good), tt.raw...), nil)
			var violation *wsconn.ProtocolError
			if !errors.As(err, &violation) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.want)) {
				t.Errorf("got %v, want a ProtocolError with %q", err, tt.want)
			}
			if payload != "good" {
				t.Errorf("got %q before it, want good", payload)
			}
			if got := closeCode(back); got != tt.code {
				t.Errorf("got close code %d, want %d", got, tt.code)
			}
		})
	}
	t.Run("text is not UTF-8", func(t *testing.T) {
		_, err, back := reply(t, frames(true, ws.NewTextFrame([]byte{0xff})), &wsconn.Config{OnText: func([]byte) {}})
		if got := closeCode(back); got != 1007 {
			t.Errorf("got close code %d (%v), want 1007", got, err)
		}
	})
}

// TestEnds checks what Read returns for each way in which a connection ends.
func TestEnds(t *testing.T) {
	closed := func(code ws.StatusCode, reason string) []byte {
		return frames(true, ws.NewBinaryFrame([]byte("last")), ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)))
	}
	for name, raw := range map[string][]byte{
		"1000": closed(1000, "bye"), "1001": closed(1001, ""),
		"no code": frames(true, ws.NewBinaryFrame([]byte("last")), ws.NewCloseFrame(nil)),
	} {
		peer, c := net.Pipe()
		conn := wsconn.Server(c, nil)
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		go func() { _, _ = peer.Write(raw) }()
		buf := make([]byte, 10)
		n, err := io.ReadFull(conn, buf[:4])
		if n != 4 || err != nil {
			t.Errorf("%s: got %d bytes, %v before the end", name, n, err)
		}
		if _, err := conn.Read(buf); err != io.EOF { //nolint:errorlint // the bare one is promised
			t.Errorf("%s: got %v, want the bare io.EOF", name, err)
		}
		if _, err := conn.Write(buf); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: Write: got %v, want io.ErrClosedPipe", name, err)
		}
		_ = conn.Close()
		_ = peer.Close()
	}
	_, err, back := reply(t, closed(1011, "broken"), nil)
	var end *wsconn.CloseError
	if !errors.As(err, &end) || end.Code != 1011 || end.Reason != "broken" || closeCode(back) != 1011 {
		t.Errorf("1011: got %v and code %d back, want a CloseError with 1011 and the same back", err, closeCode(back))
	}
	whole := frames(true, ws.NewBinaryFrame([]byte("whole")))
	for name, cut := range map[string]int{"at a border": len(whole), "in a header": 3, "in a payload": len(whole) - 2} {
		peer, c := net.Pipe()
		conn := wsconn.Server(c, nil)
		go func() {
			_, _ = peer.Write(whole[:cut])
			_ = peer.Close()
		}()
		if _, err := io.ReadAll(conn); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut %s: got %v, want io.ErrUnexpectedEOF", name, err)
		}
		_ = conn.Close()
	}
}

// TestCloseUnblocks has Close end calls in flight.
func TestCloseUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := net.Pipe()
		conn := wsconn.Client(c, nil)
		results := make(chan error, 2)
		go func() { _, err := conn.Read(make([]byte, 1)); results <- err }()
		go func() { _, err := conn.Write([]byte("nobody reads this")); results <- err }()
		synctest.Wait()
		if err := errors.Join(conn.Close(), conn.Close()); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
		for range 2 {
			if err := <-results; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want net.ErrClosed", err)
			}
		}
	})
}

// TestHeartbeat sends a PING after 20 s of silence and gives up after 45 s.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer, c := net.Pipe()
		conn := wsconn.Server(c, nil)
		start := time.Now()
		pinged := make(chan time.Duration, 10)
		go func() {
			for {
				h, err := ws.ReadHeader(peer)
				if err != nil {
					return
				}
				if h.OpCode == ws.OpPing {
					pinged <- time.Since(start)
				}
			}
		}()
		_, err := conn.Read(make([]byte, 1))
		if !errors.Is(err, io.ErrUnexpectedEOF) || time.Since(start) != 45*time.Second {
			t.Errorf("got %v after %v, want io.ErrUnexpectedEOF after 45 s", err, time.Since(start))
		}
		if got := <-pinged; got != 20*time.Second {
			t.Errorf("got the first PING after %v, want 20 s", got)
		}
		_ = conn.Close()
		_ = peer.Close()
	})
}

// TestDeadline is renewed after it has passed, and loses nothing.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		client, server := wsconn.Client(a, nil), wsconn.Server(b, nil)
		_ = client.SetDeadline(time.Now().Add(time.Second))
		n, err := client.Write([]byte("late"))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n != 4 {
			t.Errorf("Write: got %d, %v, want 4 and os.ErrDeadlineExceeded", n, err)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: got %v, want os.ErrDeadlineExceeded", err)
		}
		_ = client.SetDeadline(time.Time{})
		go func() { _, _ = client.Write([]byte(" but there")) }()
		got := make([]byte, 14)
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "late but there" {
			t.Errorf("got %q, %v, want all of it", got, err)
		}
		_ = client.Close()
		_ = server.Close()
	})
}
