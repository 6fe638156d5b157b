package wsconn_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"culvert/wsconn"
)

// accept returns the right Sec-WebSocket-Accept for a request.
func accept(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// answering serves one connection: it reads a request, writes what answer
// returns, and tells on the channel whether the client closed the connection.
func answering(t *testing.T, answer func(*http.Request) string) (addr string, closed chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	closed = make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		br := bufio.NewReader(c)
		r, err := http.ReadRequest(br)
		if err != nil {
			closed <- err
			return
		}
		_, _ = io.WriteString(c, answer(r))
		_, err = io.Copy(io.Discard, br)
		closed <- err
	}()
	return l.Addr().String(), closed
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nServer: teapot/1\r\n" +
	"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: "

// TestAnswers gives Dial what is not a WebSocket: each error says what was
// wrong and who said it, and the connection is closed.
func TestAnswers(t *testing.T) {
	fixed := func(s string) func(*http.Request) string { return func(*http.Request) string { return s } }
	opens := func(more string) func(*http.Request) string { // with more headers
		return func(r *http.Request) string { return switching + accept(r) + "\r\n" + more + "\r\n" }
	}
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	tests := []struct {
		name   string
		answer func(*http.Request) string
		want   []string
		status int
	}{
		{"wrong key", fixed(switching + "AAAA\r\nSec-WebSocket-Protocol: culvert.v1\r\n\r\n"),
			[]string{"wrong Sec-WebSocket-Accept", "teapot/1"}, 0},
		{"no key", fixed("HTTP/1.1 101 x\r\n" + upgrade), []string{"no Sec-WebSocket-Accept"}, 0},
		{"no upgrade", fixed("HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n"), []string{"upgrades to \"\""}, 0},
		{"HTTP/1.0", fixed("HTTP/1.0 101 x\r\n" + upgrade), []string{"is of HTTP/1.0"}, 0},
		{"no subprotocol", opens(""), []string{"none of the subprotocols culvert.v1"}, 0},
		{"other subprotocol", opens("Sec-WebSocket-Protocol: chat\r\n"), []string{"not offered: \"chat\""}, 0},
		{"version", opens("Sec-WebSocket-Version: 8\r\n"), []string{"WebSocket version 8"}, 0},
		{"extension", opens("Sec-WebSocket-Extensions: x\r\n"), []string{"extension"}, 0},
		{"redirect", fixed("HTTP/1.1 302 Found\r\nServer: gate\r\nLocation: https://login.example.com/\r\nContent-Length: 0\r\n\r\n"),
			[]string{"302 Found", "gate", "login.example.com"}, 302},
		{"401", fixed("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 4\r\n\r\nwho?"),
			[]string{"401", "Bearer", "who?"}, 401},
		{"503", fixed("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nVia: 1.1 edge\r\nContent-Length: 0\r\n\r\n"),
			[]string{"503", "Retry-After: 7", "1.1 edge"}, 503},
		{"login page", fixed("HTTP/1.1 200 OK\r\nServer: portal\r\nContent-Length: 42\r\n\r\n" +
			"<html>\n<title>Please log in</title></html>\n"),
			[]string{"200 OK", "portal", "Please log in"}, 200},
		{"not HTTP", fixed("SSH-2.0-OpenSSH_9\r\n"), []string{"reading the answer"}, 0},
		{"endless head", fixed("HTTP/1.1 101 x\r\nA: " + strings.Repeat("a", 1<<20)), []string{"too long"}, 0},
		{"endless interim head", fixed("HTTP/1.1 103 x\r\nA: " + strings.Repeat("a", 1<<20)), []string{"too long"}, 0},
		{"too many interim answers", fixed(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 6)),
			[]string{"more than 5 interim answers"}, 0},
		{"interim answers, then 503", fixed(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5) +
			"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"), []string{"answered 503 Later"}, 503},
		{"nothing", fixed(""), []string{"no answer in time", "handshake timeout"}, 0},
		{"interim answers alone", fixed("HTTP/1.1 100 Continue\r\n\r\n"), []string{"no answer in time"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, closed := answering(t, tt.answer)
			d := &wsconn.Dialer{Subprotocols: []string{"culvert.v1"}, HandshakeTimeout: 5 * time.Second}
			if strings.Contains(strings.Join(tt.want, ""), "in time") {
				d.HandshakeTimeout = 50 * time.Millisecond
			}
			_, err := d.Dial(t.Context(), "ws://"+addr+"/culvert")
			if err == nil {
				t.Fatal("got a WebSocket")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want a text with %q", err, want)
				}
			}
			var status *wsconn.StatusError
			if errors.As(err, &status) != (tt.status != 0) || (status != nil && status.StatusCode != tt.status) {
				t.Errorf("got %T %v, want status %d", err, status, tt.status)
			}
			<-closed // the client closed it
		})
	}
}

// TestEarlyBytes delivers frames that came in one packet with the 101.
func TestEarlyBytes(t *testing.T) {
	addr, _ := answering(t, func(r *http.Request) string { return switching + accept(r) + "\r\n\r\n\x82\x05early" })
	c, err := new(wsconn.Dialer).Dial(t.Context(), "ws://"+addr+"/")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "early" {
		t.Errorf("got %q, %v, want early", got, err)
	}
}

// TestInterimAnswers skips what comes before the 101, each head of which may
// be as long as MaxHead.
func TestInterimAnswers(t *testing.T) {
	hint := "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("a", 1900) + "\r\n\r\n"
	addr, _ := answering(t, func(r *http.Request) string {
		return "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + hint + hint + hint +
			switching + accept(r) + "\r\n\r\n\x82\x05early"
	})
	c, err := (&wsconn.Dialer{MaxHead: 2000}).Dial(t.Context(), "ws://"+addr+"/")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "early" {
		t.Errorf("got %q, %v, want early", got, err)
	}
}

// TestLongHead takes a 101 to which a gateway added many fields.
func TestLongHead(t *testing.T) {
	for _, tt := range []struct {
		size, limit int
		want        string // of the error
	}{
		{20 << 10, 0, ""}, {60 << 10, 0, ""}, {70 << 10, 0, "too long"}, {70 << 10, 100 << 10, ""}, {20 << 10, 16 << 10, "too long"},
	} {
		addr, _ := answering(t, func(r *http.Request) string {
			return switching + accept(r) + "\r\nContent-Security-Policy: " + strings.Repeat("x", tt.size) + "\r\n\r\n"
		})
		c, err := (&wsconn.Dialer{MaxHead: tt.limit}).Dial(t.Context(), "ws://"+addr+"/")
		if err == nil {
			_ = c.Close()
		}
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d bytes, MaxHead %d: got %v, want %q", tt.size, tt.limit, err, tt.want)
		}
	}
}

// TestDialCancelled returns when the caller's context ends.
func TestDialCancelled(t *testing.T) {
	addr, closed := answering(t, func(*http.Request) string { return "" })
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("had enough"))
	defer cancel()
	if _, err := new(wsconn.Dialer).Dial(ctx, "ws://"+addr+"/"); err == nil || !strings.Contains(err.Error(), "had enough") {
		t.Errorf("got %v, want the cause", err)
	}
	<-closed
}

// TestConnect goes through a proxy, for ws too, with the name unresolved, and
// reports what a proxy refuses.
func TestConnect(t *testing.T) {
	for _, tt := range []struct {
		name, answer, want string
		user               *url.Userinfo
	}{
		{"accepted", "HTTP/1.1 200 OK\r\n\r\n", "CONNECT api.invalid:80, ", nil},
		{"credentials", "HTTP/1.1 200 OK\r\n\r\n", "CONNECT api.invalid:80, Basic dTpw", url.UserPassword("u", "p")},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", "CONNECT api.invalid:80, ", nil},
		{"202 with a length", "HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\n", "CONNECT api.invalid:80, ", nil},
		{"200 chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "CONNECT api.invalid:80, ", nil},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 103 Hm\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
			"CONNECT api.invalid:80, ", nil},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "answered 101", nil},
		{"302", "HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\n\r\n", "Location: https://login.example/", nil},
		{"407", "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
			"407 Proxy Authentication Required, Proxy-Authenticate: Basic realm=x; " +
				"put user:password into the proxy's URL or set ProxyAuth", nil},
		{"403", "HTTP/1.1 403 Forbidden\r\nServer: squid\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("no ", 70000),
			"Server: squid answered 403 Forbidden: \"no no ", nil},
		{"502", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 15\r\n\r\n\r\n\r\n<h1>No name\n",
			"answered 502 Bad Gateway: \"No name\"", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan string, 1)
			addr, closed := answering(t, func(r *http.Request) string {
				asked <- fmt.Sprintf("%s %s, %s", r.Method, r.Host, r.Header.Get("Proxy-Authorization"))
				return tt.answer
			})
			d := &wsconn.Dialer{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: addr, User: tt.user})}
			c, err := d.Connect(t.Context(), &url.URL{Scheme: "ws", Host: "api.invalid"})
			got := <-asked
			if err != nil {
				var status *wsconn.StatusError
				if !errors.As(err, &status) || status.Proxy != addr || len(err.Error()) > 500 {
					t.Errorf("got %v, want a short StatusError of the proxy %s", err, addr)
				}
				got = err.Error()
			} else {
				_ = c.Close()
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			<-closed
		})
	}
}

// TestPasswordOfURL keeps the password of a URL out of errors.
func TestPasswordOfURL(t *testing.T) {
	addr, _ := answering(t, func(*http.Request) string { return "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" })
	_, err := new(wsconn.Dialer).Dial(t.Context(), "ws://u:sesame@"+addr+"/path")
	if err == nil || strings.Contains(err.Error(), "sesame") || !strings.Contains(err.Error(), addr+"/path:") {
		t.Errorf("got %v, want the URL without the password", err)
	}
}
