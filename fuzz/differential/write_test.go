package differential

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/coder/websocket"

	"culvert/wsconn"
)

// FuzzWrite has each write and the other read, in both roles: what arrives is
// what was sent, and the code of the Close at the end. Each byte of ops is one
// message, of up to 70,000 bytes; theirs come in fragments.
func FuzzWrite(f *testing.F) {
	f.Add([]byte{0, 1, 2, 250, 251, 253, 254, 255}, 1000, true, 7)
	f.Add([]byte{40, 41, 42, 43}, 126, false, 4096)
	f.Add([]byte{}, 0, true, 1)
	f.Add([]byte{255, 255}, 65536, false, 65535)
	f.Fuzz(func(t *testing.T, ops []byte, piece int, client bool, chunk int) {
		messages := compose(ops[:min(len(ops), 20)])
		piece, chunk = 1+(piece&0xffff), 1+(chunk&0xffff)
		code := uint16(3000 + piece%2000)

		maxFrame := 70000
		if piece%3 == 0 {
			maxFrame = piece
		}
		short := slices.DeleteFunc(slices.Clone(messages), func(m sent) bool { return m.text && len(m.data) > maxFrame })
		out := &memConn{}
		sendOurs(t, out, short, maxFrame, client, code)
		got := receive(theirs(t, &memConn{in: out.out, chunk: chunk}, !client))
		checkReceived(t, "ours", got, short, code)

		out = &memConn{}
		sendTheirs(t, out, messages, piece, client, code)
		got = outcome{}
		conn := ours(&memConn{in: out.out, chunk: chunk}, !client, func(b []byte) { got.texts = append(got.texts, string(b)) })
		payload, err := io.ReadAll(conn)
		got.payload = string(payload)
		if bye := (&wsconn.CloseError{}); errors.As(err, &bye) {
			got.code = bye.Code
		}
		_ = conn.Close()
		checkReceived(t, "theirs", got, messages, code)
	})
}

// sent is one message.
type sent struct {
	text bool
	data []byte
}

// compose makes a message of each byte: odd ones are texts.
func compose(ops []byte) (all []sent) {
	for i, op := range ops {
		size := int(op)
		if op >= 250 {
			size = []int{125, 126, 127, 65535, 65536, 70000}[op-250]
		}
		all = append(all, sent{op&1 == 1, bytes.Repeat([]byte{'a' + byte(i)}, size)})
	}
	return all
}

func sendOurs(t *testing.T, out *memConn, messages []sent, maxFrame int, client bool, code uint16) {
	t.Helper()
	cfg := &wsconn.Config{PingInterval: -1, MaxFrame: maxFrame}
	role := wsconn.Server
	if client {
		role = wsconn.Client
	}
	conn := role(out, cfg)
	for _, m := range messages {
		send := func(b []byte) error { _, err := conn.Write(b); return err }
		if m.text {
			send = conn.WriteText
		}
		if err := send(m.data); err != nil {
			t.Fatalf("wsconn: got %v, want nil", err)
		}
	}
	_ = conn.CloseWith(code, "")
}

func sendTheirs(t *testing.T, out *memConn, messages []sent, piece int, client bool, code uint16) {
	t.Helper()
	conn := theirs(t, out, client)
	for _, m := range messages {
		kind := websocket.MessageBinary
		if m.text {
			kind = websocket.MessageText
		}
		w, err := conn.Writer(context.Background(), kind)
		for p := range slices.Chunk(m.data, max(piece, 1+len(m.data)/10)) {
			if err == nil {
				_, err = w.Write(p)
			}
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatalf("coder/websocket: got %v, want nil", err)
		}
	}
	_ = conn.Close(websocket.StatusCode(code), "")
}

func receive(conn *websocket.Conn) (o outcome) {
	for o.err == nil {
		o.err = message(conn, &o)
	}
	_ = conn.CloseNow()
	o.code = uint16(websocket.CloseStatus(o.err))
	return o
}

// checkReceived checks what was received.
func checkReceived(t *testing.T, who string, got outcome, messages []sent, code uint16) {
	t.Helper()
	var payload []byte
	var texts []string
	for _, m := range messages {
		if m.text {
			texts = append(texts, string(m.data))
		} else {
			payload = append(payload, m.data...)
		}
	}
	if got.payload != string(payload) || !slices.Equal(got.texts, texts) || got.code != code {
		t.Fatalf("sent by %s: got %d bytes, %d texts, %d, want %d, %d, %d", who,
			len(got.payload), len(got.texts), got.code, len(payload), len(texts), code)
	}
}
