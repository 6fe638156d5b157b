package fuzz

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"culvert/wsconn"
)

// connect has a Dialer ask a proxy that gives an arbitrary answer.
func connect(t *testing.T, scheme string, answer []byte, chunk int) (net.Conn, *memConn, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c := &memConn{in: bytes.Clone(answer), chunk: chunk}
	d := &wsconn.Dialer{
		Proxy:       http.ProxyURL(&url.URL{Scheme: scheme, Host: "proxy.example:3128", User: url.UserPassword("user", "secret")}),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}
	conn, err := d.Connect(ctx, &url.URL{Scheme: "https", Host: "example.com"})
	if err != nil && (!strings.Contains(err.Error(), "proxy.example:3128") || strings.Contains(err.Error(), "secret") || len(err.Error()) > 2000) {
		t.Fatalf("got an error of %d bytes: %.300q", len(err.Error()), err)
	}
	return conn, c, err
}

// FuzzConnect gives CONNECT an arbitrary answer. Any 2xx opens the tunnel, and
// what follows its head is what comes first through it, not a byte more or less;
// all else gives an error of bounded length that names the proxy, not the
// password.
func FuzzConnect(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x01"), 4096)
	f.Add([]byte("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nProxy-Agent: x\r\n\r\nhello"), 1)
	f.Add([]byte("HTTP/1.1 299 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 7)
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nhello"), 7)
	f.Add([]byte("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno"), 9)
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nVia: 1.1 squid\r\n\r\n<html><title>blocked</title>"), 9)
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"), 9)
	f.Add([]byte("SSH-2.0-OpenSSH\r\n"), 9)
	f.Fuzz(func(t *testing.T, answer []byte, chunk int) {
		answer = answer[:min(len(answer), maxInput)]
		conn, _, err := connect(t, "http", answer, 1+(chunk&0xfff))
		br := bufio.NewReader(bytes.NewReader(answer))
		r, rerr := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
		for n := 0; rerr == nil && n < 5 && r.StatusCode/100 == 1 && r.StatusCode != http.StatusSwitchingProtocols; n++ {
			r, rerr = http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
		}
		var status *wsconn.StatusError
		switch opens := rerr == nil && r.StatusCode/100 == 2; {
		case opens != (err == nil):
			t.Fatalf("got %v for %q", err, answer)
		case err == nil:
			want, _ := io.ReadAll(br)
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %q, %v through the tunnel, want %q", got, err, want)
			}
		case rerr == nil && r.StatusCode/100 != 1 && (!errors.As(err, &status) || status.StatusCode != r.StatusCode || status.Proxy != "proxy.example:3128"):
			t.Fatalf("got %v for %q, want a StatusError", err, answer)
		}
	})
}

// FuzzSocks is FuzzConnect for a SOCKS5 proxy (RFC 1928 and 1929).
func FuzzSocks(f *testing.F) {
	f.Add([]byte("\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50hello"), 4096)
	f.Add([]byte("\x05\x02\x01\x00\x05\x00\x00\x03\x04host\x00\x50hello"), 1)
	f.Add([]byte("\x05\x00\x05\x00\x00\x040123456789abcdef\x00\x50hello"), 3)
	f.Add([]byte("\x05\x00\x05\x00\x00\x03\x00\x00\x50hello"), 3)
	f.Add([]byte("\x05\x02\x01\x01"), 3)
	f.Add([]byte("\x05\xff"), 3)
	f.Add([]byte("\x05\x00\x05\x02\x00\x01"), 3)
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), 30)
	f.Fuzz(func(t *testing.T, answer []byte, chunk int) {
		answer = answer[:min(len(answer), 600)]
		conn, c, err := connect(t, "socks5h", answer, 1+(chunk&0xfff))
		rest, opens := afterSocks(answer)
		if opens != (err == nil) {
			t.Fatalf("got %v for %q", err, answer)
		}
		if err != nil {
			return
		}
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, rest) {
			t.Fatalf("got %q, %v through the tunnel, want %q", got, err, rest)
		}
		if name := "\x03\x0bexample.com\x01\xbb"; !bytes.HasSuffix(c.out, []byte(name)) {
			t.Fatalf("asked with %q, want the name as it is", c.out)
		}
	})
}

// afterSocks returns what follows a proxy's part of the handshake, and whether
// that opens the way.
func afterSocks(b []byte) (rest []byte, opens bool) {
	if len(b) < 2 || b[0] != 5 {
		return nil, false
	}
	method := b[1]
	b = b[2:]
	switch {
	case method == 0:
	case method == 2 && len(b) >= 2 && b[0] == 1 && b[1] == 0:
		b = b[2:]
	default:
		return nil, false
	}
	if len(b) < 5 || b[0] != 5 || b[1] != 0 || b[2] != 0 {
		return nil, false
	}
	size := map[byte]int{1: 4, 3: 1 + int(b[4]), 4: 16}[b[3]]
	if n := 4 + size + 2; size > 0 && len(b) >= n {
		return b[n:], true
	}
	return nil, false
}
