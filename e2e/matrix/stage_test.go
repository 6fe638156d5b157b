package matrix_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"

	"culvert/e2e/cert"
	"culvert/internal/echo"
	"culvert/listener"
)

// name is what the origin is called where a proxy resolves names, and this
// machine does not.
const name = "origin.test"

// stage is what every row has: a server, in cleartext and with TLS.
type stage struct {
	clear, secure string     // host:port
	origin        *cert.Pair // of secure
	front         *cert.Pair // of what stands in front
}

// newStage starts the servers of a row.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{origin: cert.New(t, name), front: cert.New(t)}
	s.clear = serve(t, nil)
	s.secure = serve(t, s.origin.Server.Clone())
	return s
}

// serve starts a culvert server with the echo service.
func serve(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{TLS: cfg})
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	(&echo.Server{}).Register(srv)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = lis.Shutdown(ctx) // a proxy may hold a connection open
	})
	return lis.Addr().String()
}

// pem returns the certificate and key in front, as text.
func pem(t *testing.T, p *cert.Pair) (certificate, key string) {
	t.Helper()
	c, k := p.Write(t, t.TempDir())
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return read(c), read(k)
}

// portOf returns the port of a host:port.
func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
