package listener_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/transport/v3/test"

	"culvert/internal/testnet"
	"culvert/listener"
	"culvert/wsconn"
)

const upgrade = "GET /culvert HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: culvert.v1\r\n"

// listen starts a Listener and checks that it ends without leaks.
func listen(t *testing.T, cfg *listener.Config) *listener.Listener {
	t.Helper()
	leaks := test.CheckRoutines(t)
	l, err := listener.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		leaks()
	})
	return l
}

// ask sends raw bytes and returns the answer.
func ask(t *testing.T, l net.Listener, raw string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, raw)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHTTP answers what is no gRPC and no tunnel.
func TestHTTP(t *testing.T) {
	l := listen(t, &listener.Config{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a page") }),
		Authorize: func(r *http.Request) (any, error) {
			switch r.Header.Get("Authorization") {
			case "":
				return nil, &listener.RefusedError{StatusCode: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}}
			case "Bearer right":
				return "me", nil
			default:
				return nil, errors.New("who are you?")
			}
		},
	})
	grpcCall := "POST /pkg.Service/Call HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name, raw     string
		status        int
		header, value string
	}{
		{"handler", "GET /page HTTP/1.1\r\nHost: h\r\n\r\n", 200, "", ""},
		{"downgraded gRPC", grpcCall, 426, "Culvert-Tunnel", "/culvert"},
		{"no credentials", upgrade + "\r\n", 401, "Www-Authenticate", "Bearer"},
		{"wrong credentials", upgrade + "Authorization: Bearer wrong\r\n\r\n", 403, "", ""},
		{"other site", upgrade + "Origin: https://evil.example\r\n\r\n", 403, "", ""},
		{"right", upgrade + "Authorization: Bearer right\r\n\r\n", 101, "Sec-Websocket-Protocol", "culvert.v1"},
		{"raw", strings.Replace(upgrade, "culvert.v1", "culvert.raw.v1", 1) + "Authorization: Bearer right\r\n\r\n", 101, "Sec-Websocket-Protocol", "culvert.raw.v1"},
		{"other protocol", strings.Replace(upgrade, "culvert.v1", "chat", 1) + "\r\n", 400, "", ""},
		{"no upgrade", "GET /culvert HTTP/1.1\r\nHost: h\r\n\r\n", 426, "Sec-Websocket-Version", "13"},
	} {
		r := ask(t, l, tt.raw)
		if r.StatusCode != tt.status || r.Header.Get(tt.header) != tt.value {
			t.Errorf("%s: got %d, %s: %q, want %d, %q", tt.name, r.StatusCode, tt.header, r.Header.Get(tt.header), tt.status, tt.value)
		}
		if r.StatusCode >= 400 && !r.Close {
			t.Errorf("%s: got no Connection: close", tt.name)
		}
		if tt.name == "raw" {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
	}
}

// TestMaxSessions answers 503 to the tunnel that is one too many.
func TestMaxSessions(t *testing.T) {
	l := listen(t, &listener.Config{MaxSessions: 1})
	d := &wsconn.Dialer{Subprotocols: []string{listener.ProtocolV1}}
	c, err := d.Dial(t.Context(), "ws://"+l.Addr().String()+"/culvert")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Dial(t.Context(), "ws://"+l.Addr().String()+"/culvert")
	var refused *wsconn.StatusError
	if !errors.As(err, &refused) || refused.StatusCode != 503 {
		t.Fatalf("got %v, want 503", err)
	}
	if after, ok := refused.RetryAfter(); !ok || after != 5*time.Second {
		t.Errorf("got Retry-After %v, %v, want 5 s", after, ok)
	}
	_ = c.Close()
}

// TestRaw makes a WebSocket one connection.
func TestRaw(t *testing.T) {
	l := listen(t, nil)
	d := &wsconn.Dialer{Subprotocols: []string{listener.ProtocolRawV1}}
	c, err := d.Dial(t.Context(), "ws://"+l.Addr().String()+"/culvert")
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "hello")
	_ = c.Close()
	if got, err := io.ReadAll(s); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v, want hello", got, err)
	}
	if _, ok := s.RemoteAddr().(*net.TCPAddr); !ok {
		t.Errorf("got %T, want *net.TCPAddr", s.RemoteAddr())
	}
	_ = s.Close()
}

// TestSplit hands HTTP/2 to Accept, by ALPN and by its preface, with every byte.
func TestSplit(t *testing.T) {
	server, client, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	const hello = opening
	for name, cfg := range map[string]*listener.Config{"cleartext": nil, "ALPN": {TLS: server}} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, cfg)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if cfg != nil {
				own := client.Clone()
				own.ServerName, own.NextProtos = "127.0.0.1", []string{"h2"}
				c = tls.Client(c, own)
			}
			for _, b := range []byte(hello) { // byte by byte
				_, _ = c.Write([]byte{b})
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(hello))
			if _, err := io.ReadFull(s, got); err != nil || string(got) != hello {
				t.Errorf("got %q, %v, want the preface", got, err)
			}
			_ = c.Close()
			_ = s.Close()
		})
	}
}

// TestSlowHandshake is cut at HandshakeTimeout, in TLS and before the first
// request.
func TestSlowHandshake(t *testing.T) {
	server, _, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]*listener.Config{"cleartext": {}, "TLS": {TLS: server}} {
		t.Run(name, func(t *testing.T) {
			cfg.HandshakeTimeout = 30 * time.Millisecond
			l := listen(t, cfg)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.EOF) {
				t.Logf("the connection ended with %v", err)
			}
		})
	}
}

// TestClosed refuses what comes after Close.
func TestClosed(t *testing.T) {
	l := listen(t, nil)
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: got %v, want net.ErrClosed", err)
	}
}
