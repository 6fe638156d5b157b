package fallback_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pion/transport/v3/test"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
)

// fixture is a gRPC server and a client that reaches it.
type fixture struct {
	listener *listener.Listener
	dialer   *fallback.Dialer
	addr     string
	calls    chan context.Context // of the RPCs, as their handlers see them
}

// start serves the echo service on a Listener and returns a Dialer for it.
func start(t *testing.T, secure bool, cfg listener.Config, d *fallback.Dialer) *fixture {
	t.Helper()
	d.Insecure = !secure
	if secure {
		var err error
		if cfg.TLS, d.TLS, err = testnet.TLS("127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	l, err := listener.Listen("tcp", "127.0.0.1:0", &cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{listener: l, dialer: d, addr: l.Addr().String()}
	f.serve(t)
	return f
}

// serve starts a grpc.Server on the fixture's listener.
func (f *fixture) serve(t *testing.T) {
	f.calls = make(chan context.Context, 100)
	srv := grpc.NewServer(f.listener.ServerOptions()...)
	(&echo.Server{OnCall: func(ctx context.Context) {
		select {
		case f.calls <- ctx:
		default:
		}
	}}).Register(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(f.listener) }()
	t.Cleanup(func() {
		_ = f.dialer.Close()
		srv.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: got %v, want nil", err)
		}
		if err := f.listener.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
	})
}

// client returns a client of the fixture's server.
func (f *fixture) client(t *testing.T, opts ...grpc.DialOption) testgrpc.TestServiceClient {
	t.Helper()
	cc, err := grpc.NewClient(f.addr, append(f.dialer.DialOptions(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return testgrpc.NewTestServiceClient(cc)
}

// fourKinds makes an RPC of each kind with a payload of n bytes.
func fourKinds(ctx context.Context, t *testing.T, c testgrpc.TestServiceClient, n int) {
	t.Helper()
	payload := &testgrpc.Payload{Body: bytes.Repeat([]byte{'x'}, n)}
	r, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: payload})
	if err != nil || len(r.GetPayload().GetBody()) != n {
		t.Fatalf("unary: got %d bytes, %v, want %d", len(r.GetPayload().GetBody()), err, n)
	}
	down, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{
		ResponseParameters: []*testgrpc.ResponseParameters{{Size: int32(n)}, {Size: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{n, 1} {
		if r, err := down.Recv(); err != nil || len(r.GetPayload().GetBody()) != want {
			t.Fatalf("server stream: got %d bytes, %v, want %d", len(r.GetPayload().GetBody()), err, want)
		}
	}
	if _, err := down.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("server stream: got %v, want EOF", err)
	}
	up, err := c.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := up.Send(&testgrpc.StreamingInputCallRequest{Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := up.CloseAndRecv(); err != nil || int(r.GetAggregatedPayloadSize()) != 3*n {
		t.Fatalf("client stream: got %d, %v, want %d", r.GetAggregatedPayloadSize(), err, 3*n)
	}
	bidi, err := c.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := bidi.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload}); err != nil {
			t.Fatal(err)
		}
		if r, err := bidi.Recv(); err != nil || len(r.GetPayload().GetBody()) != n {
			t.Fatalf("bidi: got %d bytes, %v, want %d", len(r.GetPayload().GetBody()), err, n)
		}
	}
	_ = bidi.CloseSend()
	if _, err := bidi.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("bidi: got %v, want EOF", err)
	}
}

// TestModes makes RPCs of all kinds in each mode, with and without TLS, and
// checks what handlers see of the way.
func TestModes(t *testing.T) {
	for _, secure := range []bool{true, false} {
		for mode, wantTunnel := range map[fallback.Mode]bool{fallback.Auto: false, fallback.Native: false, fallback.WebSocket: true} {
			t.Run(modeName(mode, secure), func(t *testing.T) {
				defer test.CheckRoutines(t)()
				t.Run("", func(t *testing.T) {
					f := start(t, secure, listener.Config{}, &fallback.Dialer{Mode: mode})
					c := f.client(t)
					fourKinds(t.Context(), t, c, 100)
					fourKinds(t.Context(), t, c, 1<<20)
					checkView(t, <-f.calls, wantTunnel, secure)
				})
			})
		}
	}
}

func modeName(m fallback.Mode, secure bool) string {
	name := map[fallback.Mode]string{fallback.Auto: "auto", fallback.Native: "native", fallback.WebSocket: "websocket"}[m]
	if secure {
		return name + "/tls"
	}
	return name + "/cleartext"
}

// checkView checks what a handler sees of its peer.
func checkView(t *testing.T, ctx context.Context, wantTunnel, secure bool) {
	t.Helper()
	info, ok := listener.FromContext(ctx)
	if !ok || info.Tunnel != wantTunnel {
		t.Errorf("FromContext: got tunnel %v, %v, want %v, true", info.Tunnel, ok, wantTunnel)
	}
	p, _ := peer.FromContext(ctx)
	if _, ok := p.Addr.(*net.TCPAddr); !ok {
		t.Errorf("peer address: got %T, want *net.TCPAddr", p.Addr)
	}
	if got := p.AuthInfo.AuthType(); (got == "tls") != secure {
		t.Errorf("AuthType: got %q with TLS %v", got, secure)
	}
}

// TestMounted serves tunnels inside somebody's http.Server.
func TestMounted(t *testing.T) {
	for _, secure := range []bool{true, false} {
		t.Run(modeName(fallback.WebSocket, secure), func(t *testing.T) {
			l := listener.New(nil)
			mux := http.NewServeMux()
			mux.Handle("/culvert", l)
			web := httptest.NewUnstartedServer(mux)
			f := &fixture{listener: l, dialer: &fallback.Dialer{Mode: fallback.WebSocket, Insecure: !secure}}
			if secure {
				server, client, err := testnet.TLS("127.0.0.1")
				if err != nil {
					t.Fatal(err)
				}
				web.TLS, f.dialer.TLS = server, client
				web.TLS.NextProtos = []string{"http/1.1"}
				web.StartTLS()
			} else {
				web.Start()
			}
			t.Cleanup(web.Close)
			f.addr = web.Listener.Addr().String()
			f.serve(t)
			fourKinds(t.Context(), t, f.client(t), 1000)
			checkView(t, <-f.calls, true, secure)
		})
	}
}

// TestAutoDowngrade goes through the tunnel, on the connection that is there
// already, when TLS negotiates http/1.1. The other handshake is the
// verification's.
func TestAutoDowngrade(t *testing.T) {
	l := listener.New(nil)
	mux := http.NewServeMux()
	mux.Handle("/culvert", l)
	web := httptest.NewUnstartedServer(mux)
	server, client, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	web.TLS = server
	web.TLS.NextProtos = []string{"http/1.1"}
	handshakes := make(chan struct{}, 10)
	web.TLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		handshakes <- struct{}{}
		return nil, nil
	}
	web.StartTLS()
	t.Cleanup(web.Close)
	f := &fixture{listener: l, dialer: &fallback.Dialer{TLS: client}, addr: web.Listener.Addr().String()}
	f.serve(t)
	fourKinds(t.Context(), t, f.client(t), 1000)
	if got := len(handshakes); got > 2 {
		t.Errorf("TLS handshakes: got %d, want 2 at most", got)
	}
	if got := f.dialer.Status(f.addr); got.Way != fallback.Tunnel {
		t.Errorf("Status: got %+v, want the tunnel", got)
	}
}
