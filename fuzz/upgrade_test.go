package fuzz

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"

	"culvert/wsconn"
)

// hijacker is a ResponseWriter that gives its connection away.
type hijacker struct {
	*httptest.ResponseRecorder

	conn net.Conn
	br   *bufio.Reader
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(h.br, bufio.NewWriter(h.conn)), nil
}

// FuzzUpgraded gives Upgrade a request and what follows it, in pieces. A request
// that Check lets through is answered by a 101 which proves that its key was
// seen, and what follows the head is the stream, not a byte more or less. Any
// other gets the answer that Check says, and its connection is left alone.
func FuzzUpgraded(f *testing.F) {
	head := "GET /culvert HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: x, culvert.v1\r\n"
	frames := "\r\n\x82\x85\x01\x02\x03\x04dgohn\x88\x82\x01\x02\x03\x04\x02\xea"
	f.Add([]byte(head+frames), 4096)
	f.Add([]byte(strings.ReplaceAll(head, "\r\n", "\n")+frames), 1)
	f.Add([]byte(head+"Content-Length: 5\r\n"+frames), 7)
	f.Add([]byte(head+"Transfer-Encoding: chunked\r\n"+frames), 7)
	f.Add([]byte(head+"Expect: 100-continue\r\n"+frames), 7)
	f.Add([]byte(strings.Replace(head, "13", "8", 1)+frames), 100)
	f.Add([]byte(strings.Replace(head, "GET", "PUT", 1)+frames), 100)
	f.Add([]byte(head+"Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: https://evil.example\r\n"+frames), 100)
	f.Fuzz(func(t *testing.T, raw []byte, chunk int) {
		c := &memConn{in: bytes.Clone(raw[:min(len(raw), maxInput)]), chunk: 1 + (chunk & 0xfff)}
		br := bufio.NewReader(c)
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		early, _ := br.Peek(br.Buffered())
		rest := append(bytes.Clone(early), c.in...)
		var texts []string
		u := &wsconn.Upgrader{Subprotocols: []string{"culvert.v1"}, Config: quiet(&texts)}
		subprotocol, refusal := u.Check(r)
		w := &hijacker{httptest.NewRecorder(), c, br}
		conn, err := u.Upgrade(w, r)
		if refusal != nil {
			checkRefusal(t, w, err, refusal)
			return
		}
		if err != nil {
			t.Fatalf("got %v for a request that Check lets through", err)
		}
		defer conn.Close()
		checkSwitch(t, c, r, subprotocol)
		want := decode(rest, false, len(rest)+1, 100)
		got, err := readAll(conn, 100, chunk&1 == 0)
		if string(got) != want.payload || class(err) != class(want.err) || !reflect.DeepEqual(texts, want.texts) {
			t.Fatalf("got %q, %q, %s, want %q, %q, %s", got, texts, class(err), want.payload, want.texts, class(want.err))
		}
	})
}

// checkRefusal checks an answer that is no 101.
func checkRefusal(t *testing.T, w *hijacker, err error, want *wsconn.UpgradeError) {
	t.Helper()
	var got *wsconn.UpgradeError
	if !errors.As(err, &got) || *got != *want {
		t.Errorf("got %v, want %v", err, want)
	}
	if w.Code != want.StatusCode || w.Header()["Connection"][0] != "close" || len(w.conn.(*memConn).out) > 0 {
		t.Errorf("got %d, %v, %q, want %d and Connection: close", w.Code, w.Header(), w.conn.(*memConn).out, want.StatusCode)
	}
}

// proof is the Sec-WebSocket-Accept for a key (RFC 6455, Section 4.2.2).
func proof(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// checkSwitch checks a 101, which is all that was sent.
func checkSwitch(t *testing.T, c *memConn, r *http.Request, subprotocol string) {
	t.Helper()
	br := bufio.NewReader(bytes.NewReader(c.out))
	resp, err := http.ReadResponse(br, r)
	if err != nil || br.Buffered() > 0 {
		t.Fatalf("got %q, %v, want a 101", c.out, err)
	}
	h := resp.Header
	if resp.StatusCode != http.StatusSwitchingProtocols || h.Get("Sec-WebSocket-Accept") != proof(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key"))) ||
		h.Get("Sec-WebSocket-Protocol") != subprotocol || h.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("got %q", c.out)
	}
}

// FuzzDialed has Dialer.Handshake ask with an arbitrary path and header:
// whatever is in them, what is sent is one request and not a byte more, for the
// host of the URL or that of the header, and Upgrader lets it through.
func FuzzDialed(f *testing.F) {
	f.Add("culvert", "X-Tenant", "blue", "culvert.v1")
	f.Add("a b?c=d&e#f", "Authorization", "Bearer x\r\nHost: evil.example\r\n\r\nGET / HTTP/1.1", "culvert.v1")
	f.Add("../\r\n\r\n", "Host", "other.example", "a, b")
	f.Add("", "host", "other.example:80\r\nX: y", "a")
	f.Add("", "content-length", "5", "a")
	f.Add("", "TRANSFER-ENCODING", "chunked", "a")
	f.Add("%00%0d%0a", "Content-Length", "100", "culvert.v1\r\nX: y")
	f.Add("@evil.example/", "Transfer-Encoding", "chunked", "")
	f.Add("", "Connection", "close", "x")
	f.Fuzz(func(t *testing.T, path, name, value, subprotocol string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d := &wsconn.Dialer{Subprotocols: []string{subprotocol}, Header: http.Header{}}
		d.Header.Set(name, value)
		c := &memConn{in: []byte("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n"), chunk: 100}
		conn, err := d.Handshake(ctx, c, "ws://example.com/"+path)
		if err == nil {
			_ = conn.Close()
			t.Fatal("got a WebSocket from a teapot")
		}
		if len(c.out) == 0 {
			return // refused to send it
		}
		br := bufio.NewReader(bytes.NewReader(c.out))
		r, err := http.ReadRequest(br)
		if lines := strings.NewReplacer("\r", " ", "\n", " "); err != nil && // net/http takes these two out, and no more
			!(httpguts.ValidHeaderFieldValue(lines.Replace(value)) && httpguts.ValidHeaderFieldValue(lines.Replace(subprotocol))) {
			return
		}
		if err != nil {
			t.Fatalf("sent %q: %v", c.out, err)
		}
		body, _ := io.ReadAll(r.Body)
		rest, _ := io.ReadAll(br)
		host := cmp.Or(d.Header.Get("Host"), "example.com")
		if len(body)+len(rest) > 0 || !strings.EqualFold(r.Host, host) && !strings.ContainsFunc(host, func(c rune) bool { return c == '%' || c >= 0x80 }) {
			t.Fatalf("sent %q for host %s, %q and %q behind it", c.out, r.Host, body, rest)
		}
		u := &wsconn.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		if _, refusal := u.Check(r); refusal != nil {
			t.Fatalf("sent %q, which is refused: %v", c.out, refusal)
		}
	})
}
