package wsconn_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/nettest"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// upgrades serves an Upgrader over TCP or TLS and hands out its connections.
func upgrades(t *testing.T, secure bool, u *wsconn.Upgrader) (url string, d *wsconn.Dialer, conns chan *wsconn.Conn) {
	t.Helper()
	conns = make(chan *wsconn.Conn, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := u.Upgrade(w, r); err == nil {
			conns <- c
		}
	}))
	d = &wsconn.Dialer{Subprotocols: u.Subprotocols}
	if !secure {
		srv.Start()
	} else {
		server, client, err := testnet.TLS("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		srv.TLS, d.TLS = server, client
		srv.StartTLS()
	}
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http"), d, conns
}

// TestHandshakeConn holds connections that Dial and Upgrade made against Go's
// own conformance test.
func TestHandshakeConn(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "tcp", true: "tls"}[secure], func(t *testing.T) {
			url, d, conns := upgrades(t, secure, &wsconn.Upgrader{Subprotocols: []string{"a"}})
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				c, err := d.Dial(t.Context(), url)
				if err != nil {
					return nil, nil, nil, err
				}
				s := <-conns
				return c, s, func() { _, _ = c.Close(), s.Close() }, nil
			})
		})
	}
}

// TestRefusals sends requests that are no upgrade.
func TestRefusals(t *testing.T) {
	url, _, conns := upgrades(t, false, &wsconn.Upgrader{Subprotocols: []string{"b", "a"}, Header: http.Header{"X-Extra": {"yes"}}})
	addr := strings.TrimPrefix(url, "ws://")
	const right = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: x, a,b\r\n\r\n"
	for _, tt := range []struct {
		name, old, repl string
		status          int
		header, value   string
	}{
		{"right", "", "", 101, "Sec-Websocket-Protocol", "b"},
		{"extra", "", "", 101, "X-Extra", "yes"},
		{"method", "GET", "PUT", 405, "Allow", "GET"},
		{"upgrade", "Upgrade: websocket\r\n", "", 426, "Upgrade", "websocket"},
		{"version", "13", "12", 426, "Sec-Websocket-Version", "13"},
		{"key", "dGhl", "", 400, "", ""},
		{"subprotocol", "x, a,b", "A", 400, "", ""},
		{"other origin", "Host: h\r\n", "Host: h\r\nOrigin: https://evil.example\r\n", 403, "", ""},
		{"own origin", "Host: h\r\n", "Host: h\r\nOrigin: https://h\r\n", 101, "", ""},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 505, "", ""},
		{"body", "Host: h\r\n", "Host: h\r\nContent-Length: 1\r\n", 400, "", ""},
		{"chunked body", "Host: h\r\n", "Host: h\r\nTransfer-Encoding: chunked\r\n", 400, "", ""},
		{"body of both kinds", "Host: h\r\n", "Host: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400, "", ""},
		{"none, of both kinds", "Host: h\r\n", "Host: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400, "", ""},
		{"body to come", "Host: h\r\n", "Host: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n", 400, "", ""},
		{"no body", "Host: h\r\n", "Host: h\r\nContent-Length: 0\r\n", 101, "", ""},
		{"no body to come", "Host: h\r\n", "Host: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n", 101, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, strings.Replace(right, tt.old, tt.repl, 1))
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.StatusCode != tt.status {
				t.Errorf("got %d, want %d", r.StatusCode, tt.status)
			}
			if got := r.Header.Get(tt.header); got != tt.value {
				t.Errorf("%s: got %q, want %q", tt.header, got, tt.value)
			}
			if tt.status == 101 {
				_ = (<-conns).Close()
			} else if !r.Close {
				t.Error("got a connection that is kept open, want Connection: close")
			}
		})
	}
}
