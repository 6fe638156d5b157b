package nginx_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"culvert/e2e/cert"
	"culvert/e2e/nginx"
	"culvert/listener"
)

// seen is what a handler can know about its caller.
type seen struct {
	peer   *peer.Peer
	info   listener.Info
	tunnel bool // whether info is there
}

// TestPeer shows what the two ends know of each other through nginx.
func TestPeer(t *testing.T) {
	handlers := make(chan seen, 1)
	observe := grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		var s seen
		s.peer, _ = peer.FromContext(ctx)
		s.info, s.tunnel = listener.FromContext(ctx)
		handlers <- s
		return next(ctx, req)
	})
	authorize := func(r *http.Request) (any, error) { return r.Header.Get("X-Forwarded-For"), nil }
	pair := cert.New(t)
	proxy, d := tunnel(t, nginx.Config{Cert: pair, Backend: serve(t, &listener.Config{Authorize: authorize}, observe)})
	client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, append(d.DialOptions(),
		grpc.WithPerRPCCredentials(secureOnly{}))...))
	var remote peer.Peer
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}, grpc.Peer(&remote)); err != nil {
		t.Fatalf("got %v, want an answer", err)
	}
	wantNginx(t, &remote, proxy.Addr)
	wantTunnel(t, <-handlers)
}

// wantNginx fails the test unless the client sees nginx at the other end: its
// certificate and its address.
func wantNginx(t *testing.T, got *peer.Peer, addr string) {
	t.Helper()
	info, ok := got.AuthInfo.(credentials.TLSInfo)
	if !ok {
		t.Fatalf("client: got AuthInfo %T, want credentials.TLSInfo", got.AuthInfo)
	}
	if name := info.State.PeerCertificates[0].Subject.CommonName; name != cert.Name {
		t.Errorf("client: got the certificate of %q, want that of %q", name, cert.Name)
	}
	if info.SecurityLevel != credentials.PrivacyAndIntegrity {
		t.Errorf("client: got security level %v, want %v", info.SecurityLevel, credentials.PrivacyAndIntegrity)
	}
	if got.Addr.String() != addr {
		t.Errorf("client: got peer %v, want nginx at %v", got.Addr, addr)
	}
}

// wantTunnel fails the test unless the handler sees the tunnel, with what nginx
// said about the client.
func wantTunnel(t *testing.T, got seen) {
	t.Helper()
	t.Logf("server: peer %v, AuthInfo %T, %+v", got.peer.Addr, got.peer.AuthInfo, got.info)
	if !got.tunnel || !got.info.Tunnel {
		t.Errorf("server: got %+v, %v from FromContext, want a tunnel", got.info, got.tunnel)
	}
	if got.info.Principal != "127.0.0.1" {
		t.Errorf("server: got principal %v, want what Authorize returned, 127.0.0.1", got.info.Principal)
	}
	for key, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"} {
		if value := got.info.Header.Get(key); value != want {
			t.Errorf("server: got %s: %q, want %q", key, value, want)
		}
	}
	if addr, ok := got.peer.Addr.(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		t.Errorf("server: got peer %T %v, want a *net.TCPAddr on 127.0.0.1", got.peer.Addr, got.peer.Addr)
	}
}

// secureOnly are per-RPC credentials that demand transport security, which the
// tunnel has by its outer TLS.
type secureOnly struct{}

func (secureOnly) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer e2e"}, nil
}

func (secureOnly) RequireTransportSecurity() bool { return true }
