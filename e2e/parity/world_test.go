package parity_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"culvert/e2e/cert"
	"culvert/fallback"
)

// part is one property of an environment. Parts are applied in their order.
type part func(*world)

// world is one environment, made anew for each client.
type world struct {
	testing.TB

	pair    *cert.Pair
	secure  bool        // the server's port, or that of what is in front, speaks TLS
	tls     *tls.Config // the client's
	backend string      // host:port of the server, or of what is in front
	target  string      // for grpc.NewClient; "" means backend

	serverOpts []grpc.ServerOption
	dialOpts   []grpc.DialOption
	callOpts   []grpc.CallOption
	rpc        rpc // nil means unary
	env        []string
	proxyPort  string

	dial  func(ctx context.Context, network, addr string) (net.Conn, error) // nil means net.Dialer
	dials atomic.Int64
	start []func()                                // when all parts were applied
	again func(context.Context, *grpc.ClientConn) // between an RPC and the one that counts; nil if there is one alone
}

func newWorld(t testing.TB, parts []part) *world {
	w := &world{TB: t, pair: pair(t)}
	flaky.Store(0)
	for _, p := range parts {
		p(w)
	}
	for _, f := range w.start {
		f()
	}
	if w.target == "" {
		w.target = w.backend
	}
	return w
}

// clientTLS returns the client's TLS configuration.
func (w *world) clientTLS() *tls.Config {
	if w.tls == nil {
		w.tls = w.pair.Client.Clone()
	}
	return w.tls
}

// netDial is what both clients dial with, unless grpc's own dialing counts.
func (w *world) netDial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.dials.Add(1)
	if w.dial != nil {
		return w.dial(ctx, network, addr)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// plain returns the options of a client that is grpc-go alone.
func (w *world) plain() []grpc.DialOption {
	creds := insecure.NewCredentials()
	if w.secure {
		creds = credentials.NewTLS(w.clientTLS().Clone())
	}
	opts := []grpc.DialOption{grpc.WithTransportCredentials(creds)}
	if w.dial != nil {
		opts = append(opts, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return w.netDial(ctx, "tcp", addr)
		}))
	}
	return append(opts, w.dialOpts...)
}

// culvert returns the options of a client with a Dialer.
func (w *world) culvert(mode fallback.Mode) (*fallback.Dialer, []grpc.DialOption) {
	d := &fallback.Dialer{Mode: mode, Insecure: !w.secure, NetDial: w.netDial}
	if w.secure {
		d.TLS = w.clientTLS()
	}
	if w.dial == nil {
		d.NetDial = nil // so that addresses are dialled as without it
	}
	w.Cleanup(func() { _ = d.Close() })
	return d, append(d.DialOptions(), w.dialOpts...)
}

// listen opens a port on one of the machine's loopback addresses.
func (w *world) listen(addr string) net.Listener {
	w.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = l.Close() })
	return l
}

// port returns the port of the backend.
func (w *world) port() string {
	_, port, err := net.SplitHostPort(w.backend)
	if err != nil {
		w.Fatal(err)
	}
	return port
}

// front puts h in front of the backend, over HTTP/2, with TLS if the world is
// secure.
func (w *world) front(h http.Handler) {
	srv := &http.Server{Handler: h, ErrorLog: quiet, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	l := w.listen("127.0.0.1:0")
	w.Cleanup(func() { _ = srv.Close() })
	if w.secure {
		srv.TLSConfig = w.pair.Server.Clone()
		go func() { _ = srv.ServeTLS(l, "", "") }()
	} else {
		go func() { _ = srv.Serve(l) }()
	}
	w.backend = l.Addr().String()
}

// with returns f to be called with w when all parts were applied.
func with(f func(w *world)) part {
	return func(w *world) { w.start = append(w.start, func() { f(w) }) }
}

// dialOpt adds an option of the client's.
func dialOpt(o ...grpc.DialOption) part {
	return func(w *world) { w.dialOpts = append(w.dialOpts, o...) }
}

// serverOpt adds an option of the server's.
func serverOpt(o ...grpc.ServerOption) part {
	return func(w *world) { w.serverOpts = append(w.serverOpts, o...) }
}

// target sets the target, in which %s is the port of the backend.
func target(format string) part {
	return with(func(w *world) {
		port := ""
		if w.backend != "" {
			port = w.port()
		}
		w.target = strings.ReplaceAll(format, "%s", port)
	})
}
