package fuzz

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"culvert/wsconn"
)

// FuzzAnswer gives Dialer.Handshake an arbitrary answer. Nobody can know the
// key beforehand, so none of them opens a WebSocket, and each gives an error
// of bounded length that names the server's fault.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: culvert.v1\r\n\r\n\x82\x01x"))
	f.Add([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nServer: nginx\r\nContent-Length: 6\r\n\r\n<html>"))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: https://login.example.com/\r\n\r\n"))
	f.Add([]byte("SSH-2.0-OpenSSH\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"))
	f.Add([]byte("HTTP/1.1 101 x\r\nA: " + strings.Repeat("a", 20000) + "\r\n\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d := &wsconn.Dialer{Subprotocols: []string{"culvert.v1"}}
		c, err := d.Handshake(ctx, &memConn{in: answer, chunk: 4096}, "ws://example.com/culvert")
		if err == nil {
			_ = c.Close()
			t.Fatal("got a WebSocket")
		}
		if text := err.Error(); len(text) > 2000 || !strings.Contains(text, "example.com") {
			t.Fatalf("got an error of %d bytes: %.200q", len(text), text)
		}
	})
}

// key is what a right Sec-WebSocket-Key looks like: 16 bytes in base64.
var key = regexp.MustCompile(`^[A-Za-z0-9+/]{22}==$`)

// FuzzUpgrade checks arbitrary requests: what Check lets through is a GET of
// HTTP/1.1 with a key and a subprotocol, and a refusal has a status of its own.
func FuzzUpgrade(f *testing.F) {
	head := "GET /culvert HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: culvert.v1, x\r\n"
	f.Add([]byte(head + "\r\n"))
	f.Add([]byte(head + "Origin: https://evil.example\r\n\r\n"))
	f.Add([]byte(head + "Content-Length: 5\r\n\r\nhello"))
	f.Add([]byte(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte(strings.Replace(head, "13", "8", 1) + "\r\n"))
	f.Add([]byte(strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1) + "\r\n"))
	f.Add([]byte(strings.Replace(head, "HTTP/1.1", "HTTP/1.7", 1) + "\r\n"))
	f.Add([]byte("POST /culvert HTTP/1.1\r\nHost: example.com\r\nContent-Type: application/grpc\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		u := &wsconn.Upgrader{Subprotocols: []string{"culvert.v1"}}
		subprotocol, refusal := u.Check(r)
		if refusal != nil {
			if refusal.StatusCode < 400 || refusal.StatusCode > 599 || refusal.Reason == "" {
				t.Fatalf("got the refusal %+v", refusal)
			}
			return
		}
		k := strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key"))
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			t.Fatalf("let through with the body %q", body)
		}
		if r.Method != http.MethodGet || r.Proto != "HTTP/1.1" || subprotocol != "culvert.v1" || !key.MatchString(k) {
			t.Fatalf("let through: %s %s, key %q, subprotocol %q", r.Method, r.Proto, k, subprotocol)
		}
	})
}
