package nginx_test

import (
	"net"
	"os"
	"testing"

	"google.golang.org/grpc"

	"culvert/e2e/cert"
	"culvert/e2e/interop"
	"culvert/e2e/nginx"
	"culvert/fallback"
	"culvert/listener"
)

func TestMain(m *testing.M) {
	interop.CatchFatal()
	os.Exit(m.Run())
}

// fronts are the two ways in which nginx meets its clients.
var fronts = []struct {
	name string
	cfg  nginx.Config
}{
	{"front h1", nginx.Config{}},
	{"front h2", nginx.Config{HTTP2: true}},
}

// serve serves the interop services in the clear, on one port for native gRPC
// and tunnels, until the test ends, and returns its address.
func serve(t *testing.T, cfg *listener.Config, opts ...grpc.ServerOption) string {
	t.Helper()
	lis, err := listener.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	srv := interop.NewServer(append(lis.ServerOptions(), opts...)...)
	serveOn(t, srv, lis)
	return lis.Addr().String()
}

// serveOn runs srv on lis until the test ends.
func serveOn(t *testing.T, srv *grpc.Server, lis net.Listener) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("got %v from Serve, want nil", err)
		}
	})
}

// tunnel starts nginx as cfg says and returns it with a Dialer that goes
// through it.
func tunnel(t *testing.T, cfg nginx.Config) (*nginx.Server, *fallback.Dialer) {
	t.Helper()
	if cfg.Cert == nil {
		cfg.Cert = cert.New(t)
	}
	proxy := nginx.Start(t, cfg)
	return proxy, dialer(t, &fallback.Dialer{Mode: fallback.WebSocket, TLS: cfg.Cert.Client})
}

// dialer closes d when the test ends.
func dialer(t *testing.T, d *fallback.Dialer) *fallback.Dialer {
	t.Helper()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("got %v from closing the dialer, want nil", err)
		}
	})
	return d
}

// connect returns a ClientConn that is closed when the test ends.
func connect(t *testing.T, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, opts...)
	if err != nil {
		t.Fatalf("got %v, want a ClientConn", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("got %v from closing the ClientConn, want nil", err)
		}
	})
	return conn
}
