package differential

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"culvert/wsconn"
)

// How the input of a WebSocket ends.
const (
	cut       = "cut"       // the connection ended without a Close frame
	closed    = "closed"    // the peer closed
	violation = "violation" // the peer broke the rules
)

// outcome is what a WebSocket made of its input.
type outcome struct {
	payload string   // of binary messages, also that of a message which did not end
	texts   []string // whole ones
	end     string
	err     error
	code    uint16 // of the Close frame that it sent, 1005 if that has none, 0 if it sent none
	pong    string // payload of the last PONG it sent, "none" if it sent none

	doubtful int // how many of the last bytes of payload came with an error
}

// byOurs gives raw to wsconn.
func byOurs(t *testing.T, raw []byte, client bool, chunk int) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		c := &memConn{in: bytes.Clone(raw), chunk: chunk, idle: synctest.Wait}
		conn := ours(c, client, func(text []byte) { o.texts = append(o.texts, string(text)) })
		payload, err := io.ReadAll(conn)
		synctest.Wait()
		o.payload, o.err = string(payload), err
		o.code, o.pong = answers(t, c.written())
		conn.Abort()
	})
	var offence *wsconn.ProtocolError
	var bye *wsconn.CloseError
	switch {
	case errors.As(o.err, &offence):
		o.end = violation
	case o.err == nil || errors.As(o.err, &bye):
		o.end = closed
	default:
		o.end = cut
	}
	return o
}

// byTheirs gives raw to coder/websocket.
func byTheirs(t *testing.T, raw []byte, client bool, chunk int) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		c := &memConn{in: bytes.Clone(raw), chunk: chunk, idle: synctest.Wait}
		conn := theirs(t, c, client)
		for o.err == nil {
			o.err = message(conn, &o)
		}
		synctest.Wait()
		o.code, o.pong = answers(t, c.written())
		_ = conn.CloseNow()
	})
	switch {
	case websocket.CloseStatus(o.err) != -1:
		o.end = closed
	case errors.Is(o.err, io.EOF), errors.Is(o.err, io.ErrUnexpectedEOF), strings.Contains(o.err.Error(), notWhole):
		o.end = cut
	default:
		o.end = violation
	}
	return o
}

// notWhole is what coder/websocket says after a message which it has called
// whole although the connection ended in it.
const notWhole = "previous message not read to completion"

// message reads one message.
func message(conn *websocket.Conn, o *outcome) error {
	kind, r, err := conn.Reader(context.Background())
	if err != nil {
		return err
	}
	var all []byte
	for b := make([]byte, 64); err == nil; {
		var n int
		n, err = r.Read(b)
		all = append(all, b[:n]...)
		if err != nil && kind == websocket.MessageBinary {
			o.doubtful = n
		}
	}
	if err == io.EOF { //nolint:errorlint // the bare one ends a message
		err = nil
	}
	switch {
	case kind == websocket.MessageBinary:
		o.payload += string(all)
	case err == nil:
		o.texts = append(o.texts, string(all))
	}
	return err
}

// answers returns what control frames out holds.
func answers(t *testing.T, out []byte) (code uint16, pong string) {
	t.Helper()
	pong = "none"
	for _, f := range frames(t, out) {
		switch {
		case code != 0:
			t.Fatalf("got a frame with opcode %d behind a Close frame", f.op)
		case f.op == 10:
			pong = string(f.payload)
		case f.op == 8 && len(f.payload) >= 2:
			code = binary.BigEndian.Uint16(f.payload)
		case f.op == 8:
			code = wsconn.CloseNoStatus
		default:
			t.Fatalf("got a frame with opcode %d", f.op)
		}
	}
	return code, pong
}

// frame is a frame that was sent.
type frame struct {
	fin     bool
	op      byte
	payload []byte
}

// frames decodes what was sent, which is right.
func frames(t *testing.T, b []byte) (all []frame) {
	t.Helper()
	for len(b) > 0 {
		f := frame{fin: b[0]&0x80 != 0, op: b[0] & 0x0f}
		masked, n := b[1]&0x80 != 0, int(b[1]&0x7f)
		switch b = b[2:]; n {
		case 126:
			n, b = int(binary.BigEndian.Uint16(b)), b[2:]
		case 127:
			n, b = int(binary.BigEndian.Uint64(b)), b[8:]
		}
		var mask [4]byte
		if masked {
			b = b[copy(mask[:], b):]
		}
		f.payload = bytes.Clone(b[:n])
		for i := range f.payload {
			f.payload[i] ^= mask[i%4]
		}
		all, b = append(all, f), b[n:]
	}
	return all
}

// show returns o in one line.
func show(o outcome) string {
	return fmt.Sprintf("%s (%v), answer %d, PONG %.50q, texts %.100q, %d bytes %.100q",
		o.end, o.err, o.code, o.pong, o.texts, len(o.payload), o.payload)
}
