package fuzz

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// switchConn is a server that answers with a template in which it replaces
// each @ by the right Sec-WebSocket-Accept.
type switchConn struct {
	memConn

	template []byte
	answer   []byte
}

func (c *switchConn) Read(p []byte) (int, error) {
	if c.answer == nil {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.out)))
		if err != nil {
			return 0, err
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		c.answer = bytes.ReplaceAll(c.template, []byte("@"), []byte(base64.StdEncoding.EncodeToString(sum[:])))
		c.in = c.answer
	}
	return c.memConn.Read(p)
}

// FuzzSwitching gives Dialer.Handshake answers that may be right: what opens a
// WebSocket is a 101 of HTTP/1.1 with the proof and the subprotocol, and what
// follows its head is the beginning of the stream, not a byte more or less.
func FuzzSwitching(f *testing.F) {
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: culvert.v1\r\n"
	frames := string(seed(false, ws.NewBinaryFrame([]byte("early")), ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
	f.Add([]byte(head+"\r\n"+frames), 4096)
	f.Add([]byte(strings.ReplaceAll(head, "\r\n", "\n")+"\n"+frames), 1)
	f.Add([]byte(head+"Content-Length: 5\r\n\r\n"+frames), 7)
	f.Add([]byte(head+"Transfer-Encoding: chunked\r\n\r\n"+frames), 7)
	f.Add([]byte(head+"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), 9)
	f.Add([]byte(head+"Sec-WebSocket-Version: 8\r\n\r\n"), 9)
	f.Add([]byte(head+"Sec-WebSocket-Protocol: other\r\n\r\n"), 9)
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n"+head+"\r\n"), 100)
	f.Add([]byte(strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1)+"\r\n"), 100)
	f.Fuzz(func(t *testing.T, template []byte, chunk int) {
		if template = template[:min(len(template), maxInput)]; bytes.Count(template, []byte("@")) > 10 {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var texts []string
		c := &switchConn{memConn: memConn{chunk: max(1, chunk&0xffff)}, template: template}
		d := &wsconn.Dialer{Subprotocols: []string{"culvert.v1"}, Config: quiet(&texts)}
		conn, err := d.Handshake(ctx, c, "ws://example.com/culvert")
		if err != nil {
			checkRefused(t, err)
			return
		}
		defer conn.Close()
		br := bufio.NewReader(bytes.NewReader(c.answer))
		r, err := http.ReadResponse(br, nil)
		for err == nil && r.StatusCode/100 == 1 && r.StatusCode != http.StatusSwitchingProtocols { // another answer follows
			r, err = http.ReadResponse(br, nil)
		}
		if err != nil || r.StatusCode != http.StatusSwitchingProtocols || !r.ProtoAtLeast(1, 1) || !bytes.Contains(template, []byte("@")) ||
			strings.TrimSpace(r.Header.Get("Sec-WebSocket-Protocol")) != "culvert.v1" || conn.Subprotocol() != "culvert.v1" {
			t.Fatalf("got a WebSocket from %q", template)
		}
		rest, _ := io.ReadAll(br)
		want := decode(rest, true, len(rest)+1, 100)
		got, err := io.ReadAll(conn)
		if err == nil {
			err = io.EOF
		}
		if string(got) != want.payload || class(err) != class(want.err) {
			t.Fatalf("got %q, %s, want %q, %s", got, class(err), want.payload, class(want.err))
		}
	})
}

// checkRefused checks that err is of a type that Dial promises and of bounded
// length.
func checkRefused(t *testing.T, err error) {
	t.Helper()
	var status *wsconn.StatusError
	var handshake *wsconn.HandshakeError
	if !errors.As(err, &status) && !errors.As(err, &handshake) {
		t.Fatalf("got %T %v, want a StatusError or a HandshakeError", err, err)
	}
	if n := len(err.Error()); n > 2000 {
		t.Fatalf("got an error of %d bytes", n)
	}
}
