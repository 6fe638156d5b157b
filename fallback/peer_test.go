package fallback_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"culvert/fallback"
	"culvert/listener"
)

// behindProxy dials as a balancer does that speaks the PROXY protocol.
func behindProxy(client string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			_, err = fmt.Fprintf(c, "PROXY TCP4 %s 192.0.2.200 4711 443\r\n", client)
		}
		return c, err
	}
}

// TestPeer checks what a handler sees of its caller, by whatever way it came.
func TestPeer(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	forwarded := func(context.Context) (http.Header, error) {
		return http.Header{"X-Forwarded-For": {"203.0.113.66, 198.51.100.7"}}, nil
	}
	for _, tt := range []struct {
		name   string
		mode   fallback.Mode
		cfg    listener.Config
		header func(context.Context) (http.Header, error)
		dial   func(context.Context, string, string) (net.Conn, error)
		want   string // address
	}{
		{"native", fallback.Native, listener.Config{}, nil, nil, "127.0.0.1"},
		{"tunnel", fallback.WebSocket, listener.Config{}, nil, nil, "127.0.0.1"},
		{"trusted proxy", fallback.WebSocket, listener.Config{TrustedProxies: loopback}, forwarded, nil, "198.51.100.7"},
		{"proxy nobody trusts", fallback.WebSocket, listener.Config{}, forwarded, nil, "127.0.0.1"},
		{"other header", fallback.WebSocket, listener.Config{TrustedProxies: loopback, ForwardedHeader: "Forwarded"}, forwarded, nil, "127.0.0.1"},
		{"PROXY, native", fallback.Native, listener.Config{ProxyProtocol: loopback}, nil, behindProxy("198.51.100.8"), "198.51.100.8"},
		{"PROXY, tunnel", fallback.WebSocket, listener.Config{ProxyProtocol: loopback}, nil, behindProxy("198.51.100.9"), "198.51.100.9"},
		{
			"trusted proxy behind PROXY", fallback.WebSocket,
			listener.Config{ProxyProtocol: loopback, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.9/32")}},
			forwarded, behindProxy("198.51.100.9"), "198.51.100.7",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &wires{from: tt.dial}
			tt.cfg.Authorize = func(*http.Request) (any, error) { return "somebody", nil }
			f := start(t, true, tt.cfg, &fallback.Dialer{Mode: tt.mode, Header: tt.header, NetDial: w.dial})
			c := f.client(t)
			for range 2 {
				if _, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
					t.Fatal(err)
				}
				ctx := <-f.calls
				p, _ := peer.FromContext(ctx)
				addr, ok := p.Addr.(*net.TCPAddr)
				if _, isTLS := p.AuthInfo.(credentials.TLSInfo); !ok || !isTLS || addr.IP.String() != tt.want {
					t.Errorf("got %v, %T, want a TCP address of %s and TLSInfo", p.Addr, p.AuthInfo, tt.want)
				}
				info, ok := listener.FromContext(ctx)
				tunnel := tt.mode == fallback.WebSocket
				if !ok || info.Tunnel != tunnel || (info.Principal == "somebody") != tunnel {
					t.Errorf("got %+v, want the principal if it came by the tunnel", info)
				}
				if tt.mode == fallback.Native {
					return
				}
				w.cut(nil) // and once more after the tunnel was resumed
			}
			if got := f.listener.Stats(); got.Resumed == 0 {
				t.Errorf("got %+v, want a tunnel that was resumed", got)
			}
		})
	}
}
