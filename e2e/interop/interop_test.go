package interop_test

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pion/transport/v3/test"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"culvert/e2e/cert"
	"culvert/e2e/interop"
	"culvert/fallback"
	"culvert/listener"
)

// TestInterop runs every case over every way to a server.
func TestInterop(t *testing.T) {
	for _, row := range []struct {
		name  string
		start func(*testing.T, *cert.Pair) interop.Target
	}{
		{"grpc alone", grpcAlone},
		{"native TLS", func(t *testing.T, pair *cert.Pair) interop.Target {
			return dial(t, listen(t, pair), &fallback.Dialer{Mode: fallback.Native, TLS: pair.Client})
		}},
		{"native cleartext", func(t *testing.T, _ *cert.Pair) interop.Target {
			return dial(t, listen(t, nil), &fallback.Dialer{Mode: fallback.Native, Insecure: true})
		}},
		{"tunnel TLS", func(t *testing.T, pair *cert.Pair) interop.Target {
			return dial(t, listen(t, pair), &fallback.Dialer{Mode: fallback.WebSocket, TLS: pair.Client})
		}},
		{"tunnel cleartext", func(t *testing.T, _ *cert.Pair) interop.Target {
			return dial(t, listen(t, nil), &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true})
		}},
		{"tunnel mounted TLS", func(t *testing.T, pair *cert.Pair) interop.Target {
			return dial(t, mount(t, pair), &fallback.Dialer{Mode: fallback.WebSocket, TLS: pair.Client})
		}},
		{"tunnel mounted cleartext", func(t *testing.T, _ *cert.Pair) interop.Target {
			return dial(t, mount(t, nil), &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Cleanup(test.CheckRoutines(t))
			interop.RunAll(t, row.start(t, cert.New(t)))
		})
	}
}

// grpcAlone is gRPC over TLS without us: where it fails, the harness does.
func grpcAlone(t *testing.T, pair *cert.Pair) interop.Target {
	lis := listenTCP(t)
	serve(t, lis, grpc.Creds(credentials.NewTLS(pair.Server)))
	return interop.Target{Addr: lis.Addr().String(), Options: []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(pair.Client)),
	}}
}

// listen serves the cases on a port of its own, with TLS if pair is not nil,
// and returns its address.
func listen(t *testing.T, pair *cert.Pair) string {
	t.Helper()
	cfg := &listener.Config{}
	if pair != nil {
		cfg.TLS = pair.Server
	}
	lis, err := listener.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	serve(t, lis, lis.ServerOptions()...)
	return lis.Addr().String()
}

// mount serves the cases inside an http.Server, with TLS if pair is not nil,
// and returns its address.
func mount(t *testing.T, pair *cert.Pair) string {
	t.Helper()
	lis := listener.New(&listener.Config{})
	mux := http.NewServeMux()
	mux.Handle("/culvert", lis)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	tcp := listenTCP(t)
	done := make(chan error, 1)
	go func() {
		if pair == nil {
			done <- web.Serve(tcp)
			return
		}
		web.TLSConfig = pair.Server.Clone()
		done <- web.ServeTLS(tcp, "", "")
	}()
	t.Cleanup(func() {
		if err := web.Close(); err != nil {
			t.Errorf("got %v from closing the web server, want nil", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("got %v from the web server, want %v", err, http.ErrServerClosed)
		}
	})
	serve(t, lis, lis.ServerOptions()...)
	return tcp.Addr().String()
}

// dial returns the way through d to addr, and closes d when the test ends.
func dial(t *testing.T, addr string, d *fallback.Dialer) interop.Target {
	t.Helper()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("got %v from closing the dialer, want nil", err)
		}
	})
	return interop.Target{Addr: addr, Options: d.DialOptions()}
}

// listenTCP listens on a free port.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	return lis
}

// serve serves the cases' services on lis until the test ends.
func serve(t *testing.T, lis net.Listener, opts ...grpc.ServerOption) {
	t.Helper()
	srv := interop.NewServer(opts...)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("got %v from Serve, want nil", err)
		}
	})
}
