package listener_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"culvert/fallback"
	"culvert/internal/testnet"
	"culvert/listener"
)

// TestNoHandler answers 404 to what is neither gRPC nor a tunnel, after TLS
// that negotiated http/1.1, nothing, or in cleartext.
func TestNoHandler(t *testing.T) {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		secure bool
		protos []string
	}{
		{"http/1.1", true, []string{"http/1.1"}},
		{"no ALPN", true, nil},
		{"cleartext", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &listener.Config{}
			if tt.secure {
				cfg.TLS = serverTLS
			}
			l := listen(t, cfg)
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if tt.secure {
				own := clientTLS.Clone()
				own.ServerName, own.NextProtos = "127.0.0.1", tt.protos
				c = tls.Client(c, own)
			}
			_, _ = io.WriteString(c, "GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || r.StatusCode != 404 {
				t.Fatalf("got %v, %v, want 404", r, err)
			}
		})
	}
}

// TestDowngraded answers a gRPC call over HTTP/1.1 while its body goes on, and
// ends the connection though the client does not, wherever the call goes.
func TestDowngraded(t *testing.T) {
	l := listen(t, &listener.Config{Path: "/tunnel"})
	for _, tt := range []struct{ path, contentType string }{
		{"/pkg.Service/Call", "application/grpc"},
		{"/pkg.Service/Call", "application/grpc+proto"},
		{"/pkg.Service/Call", "Application/gRPC; x=y"},
		{"/tunnel", "application/grpc"},
	} {
		t.Run(tt.path+" "+tt.contentType, func(t *testing.T) {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "POST "+tt.path+" HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nContent-Type: "+tt.contentType+
				"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n") // and more to come
			br := bufio.NewReader(c)
			r, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.StatusCode != 426 || !r.Close || r.Header.Get("Culvert-Tunnel") != "/tunnel" {
				t.Errorf("got %d, close %v, tunnel %q, want 426, true, /tunnel", r.StatusCode, r.Close, r.Header.Get("Culvert-Tunnel"))
			}
			if _, err := io.ReadAll(r.Body); err != nil {
				t.Errorf("body: got %v, want nil", err)
			}
			if tt.path == "/tunnel" { // one of them is enough
				if _, err := br.ReadByte(); err == nil {
					t.Error("the connection goes on, want its end")
				}
			}
		})
	}
}

// TestOrigin allows the server's own pages, and what CheckOrigin allows.
func TestOrigin(t *testing.T) {
	check := func(r *http.Request) bool { return strings.HasSuffix(r.Header.Get("Origin"), ".example") }
	for _, tt := range []struct {
		name, origin string
		cfg          *listener.Config
		want         int
	}{
		{"own", "https://h", nil, 101},
		{"other", "https://evil.example", nil, 403},
		{"null", "null", nil, 403},
		{"chosen", "https://app.example", &listener.Config{CheckOrigin: check}, 101},
		{"not chosen", "https://h", &listener.Config{CheckOrigin: check}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ask(t, listen(t, tt.cfg), upgrade+"Origin: "+tt.origin+"\r\n\r\n").StatusCode; got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// TestPrincipal tells handlers what Authorize found out, of the tunnel and of
// no native connection.
func TestPrincipal(t *testing.T) {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, calls := serve(t, &listener.Config{TLS: serverTLS, Authorize: func(r *http.Request) (any, error) {
		return "user of " + r.Host, nil
	}})
	for name, want := range map[string]any{"native": nil, "tunnel": "user of " + l.Addr().String()} {
		if err := call(t, l, &fallback.Dialer{TLS: clientTLS, Mode: ways[name]}); err != nil {
			t.Fatal(err)
		}
		info, ok := listener.FromContext(<-calls)
		if !ok || info.Tunnel != (name == "tunnel") || info.Principal != want {
			t.Errorf("%s: got %+v, %v, want principal %v", name, info, ok, want)
		}
		if got := info.Header.Get("Upgrade"); (got == "websocket") != info.Tunnel {
			t.Errorf("%s: header Upgrade: got %q", name, got)
		}
	}
	if _, ok := listener.FromContext(t.Context()); ok {
		t.Error("a context of no RPC: got true, want false")
	}
}
