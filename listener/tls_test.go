package listener_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
	"culvert/mux"
	"culvert/wsconn"
)

// ways are both ways to a Listener, for tests that want the same of each.
var ways = map[string]fallback.Mode{"native": fallback.Native, "tunnel": fallback.WebSocket}

// serve serves the echo service on a Listener with TLS. The contexts of its
// RPCs come through calls.
func serve(t *testing.T, cfg *listener.Config) (l *listener.Listener, calls <-chan context.Context) {
	t.Helper()
	l = listen(t, cfg)
	seen := make(chan context.Context, 10)
	srv := grpc.NewServer(l.ServerOptions()...)
	(&echo.Server{OnCall: func(ctx context.Context) { seen <- ctx }}).Register(srv)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	return l, seen
}

// call makes one RPC through d.
func call(t *testing.T, l *listener.Listener, d *fallback.Dialer, opts ...grpc.DialOption) error {
	t.Helper()
	cc, err := grpc.NewClient(l.Addr().String(), append(d.DialOptions(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
	_ = cc.Close()
	_ = d.Close()
	return err
}

// tlsInfo returns what a handler sees of the transport's security.
func tlsInfo(t *testing.T, ctx context.Context) credentials.TLSInfo {
	t.Helper()
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		t.Fatalf("AuthInfo: got %T, want credentials.TLSInfo", p.AuthInfo)
	}
	if err := credentials.CheckSecurityLevel(info, credentials.PrivacyAndIntegrity); err != nil {
		t.Errorf("security level: got %v, want nil", err)
	}
	return info
}

// TestClientCertificate shows handlers the client's certificate, both ways.
func TestClientCertificate(t *testing.T) {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	mine, err := testnet.Certificate("client.example")
	if err != nil {
		t.Fatal(err)
	}
	serverTLS.ClientAuth = tls.RequireAndVerifyClientCert
	serverTLS.ClientCAs = x509.NewCertPool()
	serverTLS.ClientCAs.AddCert(mine.Leaf)
	for name, mode := range ways {
		t.Run(name, func(t *testing.T) {
			l, calls := serve(t, &listener.Config{TLS: serverTLS})
			own := clientTLS.Clone()
			own.Certificates = []tls.Certificate{mine}
			if err := call(t, l, &fallback.Dialer{TLS: own, Mode: mode}); err != nil {
				t.Fatalf("got %v, want nil", err)
			}
			state := tlsInfo(t, <-calls).State
			if len(state.PeerCertificates) != 1 || state.PeerCertificates[0].DNSNames[0] != "client.example" {
				t.Errorf("got %d certificates, want that of client.example", len(state.PeerCertificates))
			}
			if err := call(t, l, &fallback.Dialer{TLS: clientTLS, Mode: mode}); err == nil {
				t.Error("without a certificate: got nil, want an error")
			}
		})
	}
}

// token is per-RPC credentials that demand TLS.
type token struct{}

func (token) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	info, _ := credentials.RequestInfoFromContext(ctx)
	if err := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer secret"}, nil
}

func (token) RequireTransportSecurity() bool { return true }

// TestPerRPCCredentials accepts credentials that require TLS, both ways, and
// still refuses them on cleartext.
func TestPerRPCCredentials(t *testing.T) {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range ways {
		t.Run(name, func(t *testing.T) {
			l, calls := serve(t, &listener.Config{TLS: serverTLS})
			if err := call(t, l, &fallback.Dialer{TLS: clientTLS, Mode: mode}, grpc.WithPerRPCCredentials(token{})); err != nil {
				t.Fatalf("got %v, want nil", err)
			}
			md, _ := metadata.FromIncomingContext(<-calls)
			if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer secret" {
				t.Errorf("authorization: got %q, want the token", got)
			}
			d := &fallback.Dialer{Insecure: true, Mode: mode}
			defer d.Close()
			cc, err := grpc.NewClient(l.Addr().String(), append(d.DialOptions(), grpc.WithPerRPCCredentials(token{}))...)
			if err == nil {
				_ = cc.Close()
				t.Error("cleartext: got nil, want an error")
			}
		})
	}
}

// TestNoALPN shows handlers the TLS of a client that offers no protocols, as a
// proxy that opens TLS may.
func TestNoALPN(t *testing.T) {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, calls := serve(t, &listener.Config{TLS: serverTLS})
	own := clientTLS.Clone()
	own.ServerName = "127.0.0.1"
	c, err := tls.Dial("tcp", l.Addr().String(), own)
	if err != nil {
		t.Fatal(err)
	}
	d := &wsconn.Dialer{Subprotocols: []string{listener.ProtocolV1}}
	ws, err := d.Handshake(t.Context(), c, "wss://"+l.Addr().String()+"/culvert")
	if err != nil {
		t.Fatal(err)
	}
	s, err := mux.Client(ws, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cc, err := grpc.NewClient("passthrough:///tunnel", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Open(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	tlsInfo(t, <-calls)
}
