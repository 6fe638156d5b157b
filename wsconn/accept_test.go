package wsconn_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/pion/transport/v3/test"
	"golang.org/x/net/nettest"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// upgradeRequest returns a right upgrade request.
func upgradeRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://h/culvert", nil)
	for k, v := range map[string]string{
		"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(k, v)
	}
	return r
}

// TestCheck decides about requests.
func TestCheck(t *testing.T) {
	all := func(*http.Request) bool { return true }
	none := func(*http.Request) bool { return false }
	set := func(k string, v ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(k)] = v }
	}
	for _, tt := range []struct {
		name   string
		u      wsconn.Upgrader
		change func(*http.Request)
		status int // of the refusal, 0 for none
		want   string
	}{
		{"right", wsconn.Upgrader{}, set("X", "y"), 0, ""},
		{"HTTP/2", wsconn.Upgrader{}, func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0 }, 505, "HTTP/2.0"},
		{"HTTP/1.0", wsconn.Upgrader{}, func(r *http.Request) { r.Proto, r.ProtoMinor = "HTTP/1.0", 0 }, 505, "HTTP/1.0"},
		{"Connection dropped", wsconn.Upgrader{}, set("Connection"), 426, "did a hop in front drop"},
		{"Connection: close", wsconn.Upgrader{}, set("Connection", "close"), 426, "did a hop in front drop"},
		{"two Connection headers", wsconn.Upgrader{}, set("Connection", "keep-alive", "x,upgrade"), 0, ""},
		{"a token like it", wsconn.Upgrader{}, set("Upgrade", "websocket2"), 426, "did a hop"},
		{"POST", wsconn.Upgrader{}, func(r *http.Request) { r.Method = http.MethodPost }, 405, "POST"},
		{"a long method", wsconn.Upgrader{}, func(r *http.Request) { r.Method = strings.Repeat("M", 5000) }, 405, "MMM..."},
		{"no version", wsconn.Upgrader{}, set("Sec-WebSocket-Version"), 426, "version 13"},
		{"several versions", wsconn.Upgrader{}, set("Sec-WebSocket-Version", "8, 13"), 0, ""},
		{"no key", wsconn.Upgrader{}, set("Sec-WebSocket-Key"), 400, "Sec-WebSocket-Key"},
		{"15 bytes", wsconn.Upgrader{}, set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA"), 400, "Sec-WebSocket-Key"},
		{"no base64", wsconn.Upgrader{}, set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ!="), 400, "Sec-WebSocket-Key"},
		{"own origin", wsconn.Upgrader{}, set("Origin", "https://H"), 0, ""},
		{"foreign origin", wsconn.Upgrader{}, set("Origin", "https://h.evil"), 403, "origin"},
		{"own name, other port", wsconn.Upgrader{}, set("Origin", "https://h:8443"), 403, "origin"},
		{"null", wsconn.Upgrader{}, set("Origin", "null"), 403, "origin"},
		{"empty origin", wsconn.Upgrader{}, set("Origin", ""), 403, "origin"},
		{"null, no host", wsconn.Upgrader{}, func(r *http.Request) { set("Origin", "null")(r); r.Host = "" }, 403, "origin"},
		{"no URL", wsconn.Upgrader{}, set("Origin", "https://%zz"), 403, "origin"},
		{"two origins", wsconn.Upgrader{}, set("Origin", "https://h", "https://evil"), 403, "origin"},
		{"all allowed", wsconn.Upgrader{CheckOrigin: all}, set("Origin", "https://evil"), 0, ""},
		{"none allowed", wsconn.Upgrader{CheckOrigin: none}, set("Origin", "https://h"), 403, "origin"},
		{"none allowed, no browser", wsconn.Upgrader{CheckOrigin: none}, set("X", "y"), 0, ""},
		{"preferred first", wsconn.Upgrader{Subprotocols: []string{"a", "b"}}, set("Sec-WebSocket-Protocol", "b", "x, a"), 0, "a"},
		{"none needed", wsconn.Upgrader{}, set("Sec-WebSocket-Protocol", "b"), 0, ""},
		{"none offered", wsconn.Upgrader{Subprotocols: []string{"a", "b"}}, set("X", "y"), 400, "the server speaks a, b"},
		{"case counts", wsconn.Upgrader{Subprotocols: []string{"a"}}, set("Sec-WebSocket-Protocol", "A"), 400, "the server speaks a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := upgradeRequest()
			tt.change(r)
			subprotocol, refusal := tt.u.Check(r)
			switch {
			case tt.status == 0 && (refusal != nil || subprotocol != tt.want):
				t.Errorf("got %q, %v, want %q", subprotocol, refusal, tt.want)
			case tt.status != 0 && (refusal == nil || refusal.StatusCode != tt.status || !strings.Contains(refusal.Error(), tt.want)):
				t.Errorf("got %q, %v, want %d and %q", subprotocol, refusal, tt.status, tt.want)
			}
			if tt.status == 0 {
				return
			}
			w := httptest.NewRecorder()
			conn, err := tt.u.Upgrade(w, r)
			var refused *wsconn.UpgradeError
			if conn != nil || !errors.As(err, &refused) || w.Code != tt.status || !strings.Contains(w.Body.String(), refused.Reason) {
				t.Errorf("Upgrade: got %v, status %d %q, want %d", err, w.Code, w.Body, tt.status)
			}
			if !strings.Contains(w.Header().Get("Connection"), "close") {
				t.Errorf("got Connection: %q, want close", w.Header().Get("Connection"))
			}
		})
	}
}

// hijacked is a ResponseWriter that hands over a connection some bytes of
// which were read already.
type hijacked struct {
	http.ResponseWriter

	conn net.Conn
	read io.Reader
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	br := bufio.NewReader(h.read)
	_, _ = br.Peek(1) // the server read ahead
	return h.conn, bufio.NewReadWriter(br, bufio.NewWriter(h.conn)), nil
}

// wrapped is a connection that names the one beneath.
type wrapped struct{ net.Conn }

func (w wrapped) Unwrap() net.Conn { return w.Conn }

// TestUpgradeEarlyBytes delivers what a client sent before it had the 101,
// also where the server's connection is wrapped.
func TestUpgradeEarlyBytes(t *testing.T) {
	near, far := net.Pipe()
	early := encode(true, ws.NewBinaryFrame([]byte("early")), ws.NewBinaryFrame([]byte(" bird")))
	head := make(chan string, 1)
	go func() {
		r, err := http.ReadResponse(bufio.NewReader(far), nil)
		if err != nil {
			head <- err.Error()
			return
		}
		head <- r.Status + " " + r.Header.Get("Sec-WebSocket-Accept") + " " + r.Header.Get("X-Extra")
		_, _ = far.Write(encode(true, ws.NewBinaryFrame([]byte(" sings"))))
	}()
	u := &wsconn.Upgrader{Header: http.Header{"X-Extra": {"a\r\nX-Injected: b"}}}
	conn, err := u.Upgrade(&hijacked{httptest.NewRecorder(), wrapped{near}, strings.NewReader(string(early))}, upgradeRequest())
	if err != nil {
		t.Fatal(err)
	}
	if want, got := "101 Switching Protocols s3pPLMBiTxaQ9kYGzzhZRbK+xOo= a  X-Injected: b", <-head; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got := make([]byte, len("early bird sings"))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "early bird sings" {
		t.Errorf("got %q, %v, want early bird sings", got, err)
	}
	if conn.NetConn() != near || conn.LocalAddr() != near.LocalAddr() || conn.RemoteAddr() != near.RemoteAddr() {
		t.Errorf("got %T beneath, want what was wrapped", conn.NetConn())
	}
	_ = far.Close()
	_ = conn.Close()
}

// TestUpgradeFails closes the connection when the 101 cannot be sent within
// 10 s, and answers 500 where there is no connection to take over.
func TestUpgradeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		start := time.Now()
		_, err := new(wsconn.Upgrader).Upgrade(&hijacked{httptest.NewRecorder(), near, strings.NewReader("")}, upgradeRequest())
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %v, want a timeout after 10 s", err, time.Since(start))
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as net.Pipe returns it
			t.Errorf("got %v at the other end, want io.EOF: closed", err)
		}
	})
	w := httptest.NewRecorder()
	_, err := new(wsconn.Upgrader).Upgrade(w, upgradeRequest())
	var refused *wsconn.UpgradeError
	if !errors.As(err, &refused) || w.Code != http.StatusInternalServerError {
		t.Errorf("got %v and status %d, want an UpgradeError and 500", err, w.Code)
	}
}

// TestUpgradeOverHTTP2 has a real HTTP/2 client ask.
func TestUpgradeOverHTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = new(wsconn.Upgrader).Upgrade(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	r, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.ProtoMajor != 2 || r.StatusCode != http.StatusHTTPVersionNotSupported {
		t.Errorf("got %s over %s, want 505 over HTTP/2.0", r.Status, r.Proto)
	}
}

// TestServerRoleHandshake is the conformance test seen from the server's end
// of a handshake, over TCP and TLS, and leaves no goroutine behind.
func TestServerRoleHandshake(t *testing.T) {
	for name, secure := range map[string]bool{"tcp": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			defer test.CheckRoutines(t)()
			conns := make(chan *wsconn.Conn, 1)
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c, err := new(wsconn.Upgrader).Upgrade(w, r); err == nil {
					conns <- c
				}
			}))
			defer srv.Close()
			d := &wsconn.Dialer{}
			if secure {
				server, client, err := testnet.TLS("127.0.0.1")
				if err != nil {
					t.Fatal(err)
				}
				srv.TLS, d.TLS = server, client
				srv.StartTLS()
			} else {
				srv.Start()
			}
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				c, err := d.Dial(t.Context(), strings.Replace(srv.URL, "http", "ws", 1))
				if err != nil {
					return nil, nil, nil, err
				}
				s := <-conns
				return s, c, func() { _, _ = s.Close(), c.Close() }, nil
			})
		})
	}
}
