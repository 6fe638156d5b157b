package nginx_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"culvert/e2e/cert"
	"culvert/e2e/nginx"
	"culvert/fallback"
	"culvert/listener"
)

// elsewhere dials from an address of its own, and keeps the connection.
type elsewhere struct {
	ip net.IP

	mu   sync.Mutex
	last net.Conn
}

func (e *elsewhere) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: e.ip}}
	c, err := d.DialContext(ctx, network, addr)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = c
	return c, err
}

func (e *elsewhere) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.last.Close()
}

// TestForwarded shows the handler the client's address, which nginx has seen,
// and not the one that the client made up, nor nginx's: before and after the
// tunnel was resumed.
func TestForwarded(t *testing.T) {
	peers := make(chan net.Addr, 1)
	observe := grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		p, _ := peer.FromContext(ctx)
		peers <- p.Addr
		return next(ctx, req)
	})
	pair := cert.New(t)
	backend := serve(t, &listener.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, observe)
	proxy := nginx.Start(t, nginx.Config{Cert: pair, Backend: backend})
	from := &elsewhere{ip: net.IPv4(127, 0, 0, 5)}
	d := dialer(t, &fallback.Dialer{
		Mode: fallback.WebSocket, TLS: pair.Client, NetDial: from.dial,
		Header: func(context.Context) (http.Header, error) {
			return http.Header{"X-Forwarded-For": {"203.0.113.66"}}, nil
		},
	})
	client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, d.DialOptions()...))
	for range 2 {
		if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); err != nil {
			t.Fatalf("got %v, want an answer", err)
		}
		if got, ok := (<-peers).(*net.TCPAddr); !ok || !got.IP.Equal(from.ip) {
			t.Errorf("got peer %v, want %v", got, from.ip)
		}
		from.cut()
	}
}
