package main

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"google.golang.org/grpc"

	"culvert/e2e/chaos/relay"
	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
	"culvert/resume"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// window is how long the servers keep a stream without a carrier. A client that
// is closed while its WebSocket is cut leaves one behind.
const window = 5 * time.Second

// way is one way to the service.
type way struct {
	name    string
	client  testgrpc.TestServiceClient               // of a ClientConn that stays
	connect func() (*grpc.ClientConn, func(), error) // a ClientConn more, which shares what there is
	tunnel  func() (*grpc.ClientConn, func(), error) // a ClientConn with a Dialer of its own; may be nil
}

// world is what there is for the load, and how to close it.
type world struct {
	ways    []*way
	cutters []*relay.Cutter
	closers []func()
}

// build makes four ways: tunnels that are cut, over TLS both tunnels and native
// connections, which are left alone, and calls back over a tunnel that is cut.
func (w *world) build(seed uint64) error {
	plain, err := w.serve(nil)
	if err != nil {
		return err
	}
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		return err
	}
	secured, err := w.serve(serverTLS)
	if err != nil {
		return err
	}
	shared, err := w.relay(plain, seed)
	if err != nil {
		return err
	}
	own, err := w.relay(plain, seed+1)
	if err != nil {
		return err
	}
	cut := func() *fallback.Dialer { return &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true} }
	tunnel := func() *fallback.Dialer { return &fallback.Dialer{Mode: fallback.WebSocket, TLS: clientTLS} }
	auto := func() *fallback.Dialer { return &fallback.Dialer{TLS: clientTLS} }
	return errors.Join(
		w.add("cut tunnel", cut, shared, own),
		w.add("TLS tunnel", tunnel, secured, secured),
		w.add("native TLS", auto, secured, secured),
		w.addReverse(seed+2),
	)
}

// close closes all, in the reverse order.
func (w *world) close() {
	for len(w.closers) > 0 {
		last := len(w.closers) - 1
		w.closers[last]()
		w.closers = w.closers[:last]
	}
}

func (w *world) onClose(f func()) { w.closers = append(w.closers, f) }

// serve starts a server.
func (w *world) serve(config *tls.Config) (addr string, err error) {
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{TLS: config, Resume: &resume.Config{Window: window}})
	if err != nil {
		return "", err
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	(&echo.Server{}).Register(srv)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(lis) // the calls notice
	}()
	w.onClose(func() {
		srv.Stop()
		_ = lis.Close()
		<-done
	})
	return lis.Addr().String(), nil
}

// relay starts one whose connections are cut.
func (w *world) relay(addr string, seed uint64) (string, error) {
	r, err := relay.New(addr, seed)
	if err != nil {
		return "", err
	}
	w.onClose(r.Close)
	w.cutters = append(w.cutters, &relay.Cutter{Relay: r})
	return r.Addr(), nil
}

// add adds a way by a Dialer to addr. The tunnels with a Dialer of their own go
// to own.
func (w *world) add(name string, dialer func() *fallback.Dialer, addr, own string) error {
	d := dialer()
	w.onClose(func() { _ = d.Close() })
	return w.stay(&way{
		name:    name,
		connect: func() (*grpc.ClientConn, func(), error) { return connect(addr, d.DialOptions()...) },
		tunnel: func() (*grpc.ClientConn, func(), error) {
			d := dialer()
			// the first WebSocket may be cut in its handshake
			wait := grpc.WithDefaultCallOptions(grpc.WaitForReady(true))
			conn, end, err := connect(own, append(d.DialOptions(), wait)...)
			return conn, func() {
				end()
				_ = d.Close()
			}, err
		},
	})
}

// stay makes the ClientConn of x that stays, calls once, and adds x.
func (w *world) stay(x *way) error {
	conn, end, err := x.connect()
	if err != nil {
		return err
	}
	w.onClose(end)
	x.client = testgrpc.NewTestServiceClient(conn)
	w.ways = append(w.ways, x)
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	return x.unary(ctx)
}

func connect(target string, opts ...grpc.DialOption) (*grpc.ClientConn, func(), error) {
	conn, err := grpc.NewClient(target, opts...)
	return conn, func() { _ = conn.Close() }, err
}
