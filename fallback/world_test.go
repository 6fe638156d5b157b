package fallback_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
)

// worlds counts the worlds. Each has hosts of its own, since the process
// remembers hosts.
var worlds atomic.Int32

// delay is of the network of a world, from end to end; two make a round trip.
const delay = 25 * time.Millisecond

// world is a network in a bubble of virtual time, with a server in it.
type world struct {
	testing.TB

	origin, front string // host:port by address: no resolver is needed

	net       *testnet.Network
	serverTLS *tls.Config
	clientTLS *tls.Config
	lis       *listener.Listener

	mu   sync.Mutex
	ends []func()
}

// newWorld makes a world whose server is at origin. It is to be ended before
// the bubble is.
func newWorld(t testing.TB) *world {
	t.Helper()
	n := worlds.Add(1)
	w := &world{TB: t, net: &testnet.Network{Delay: delay}}
	hosts := []string{fmt.Sprintf("10.%d.%d.1", n/256, n%256), fmt.Sprintf("10.%d.%d.2", n/256, n%256)}
	w.origin, w.front = hosts[0]+":443", hosts[1]+":443"
	var err error
	if w.serverTLS, w.clientTLS, err = testnet.TLS(hosts...); err != nil {
		t.Fatal(err)
	}
	w.lis = w.serve(w.net.Listen(w.origin))
	return w
}

// serve starts a culvert server on port.
func (w *world) serve(port net.Listener) *listener.Listener {
	lis := listener.Wrap(port, &listener.Config{TLS: w.serverTLS.Clone()})
	srv := grpc.NewServer(lis.ServerOptions()...)
	(&echo.Server{}).Register(srv)
	go func() { _ = srv.Serve(lis) }()
	w.atEnd(func() {
		srv.Stop()
		_ = lis.Shutdown(context.Background())
	})
	return lis
}

// atEnd has f called by end.
func (w *world) atEnd(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, f)
}

// end stops everything.
func (w *world) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
}

// dialer returns a Dialer in the world.
func (w *world) dialer() *fallback.Dialer {
	d := &fallback.Dialer{TLS: w.clientTLS, NetDial: w.net.Dial}
	w.atEnd(func() { _ = d.Close() })
	return d
}

// client returns a client of d.
func (w *world) client(d *fallback.Dialer, addr string) testgrpc.TestServiceClient {
	return w.connect(addr, d.DialOptions()...)
}

// plain returns a client that is nothing but grpc.
func (w *world) plain(addr string) testgrpc.TestServiceClient {
	return w.connect("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(w.clientTLS)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return w.net.Dial(ctx, "tcp", addr) }))
}

func (w *world) connect(target string, opts ...grpc.DialOption) testgrpc.TestServiceClient {
	w.Helper()
	cc, err := grpc.NewClient(target, opts...)
	if err != nil {
		w.Fatal(err)
	}
	w.atEnd(func() { _ = cc.Close() })
	return testgrpc.NewTestServiceClient(cc)
}

// unary makes an RPC and returns how long it took.
func (w *world) unary(c testgrpc.TestServiceClient) time.Duration {
	w.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
		w.Errorf("unary: got %v, want nil", err)
	}
	return time.Since(begin)
}

// proxyHTTP1 starts a reverse proxy at front that speaks HTTP/1.1 to the
// origin, and protos to clients.
func (w *world) proxyHTTP1(protos ...string) {
	srv := &http.Server{Handler: w.forward(false), ErrorLog: quiet, TLSConfig: w.serverTLS.Clone()}
	srv.TLSConfig.NextProtos = protos
	port := tls.NewListener(w.net.Listen(w.front), srv.TLSConfig)
	go func() { _ = srv.Serve(port) }()
	w.atEnd(func() { _ = srv.Close() })
}
