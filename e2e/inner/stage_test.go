package inner_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"culvert/e2e/cert"
	"culvert/e2e/internal/program"
	"culvert/e2e/internal/rpc"
	"culvert/e2e/internal/squid"
	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
)

// gate is squid, which opens the outer TLS.
type gate struct {
	*program.Process

	ca     *cert.Pair // of squid
	origin *cert.Pair // of the servers behind it
}

// openGate starts squid with these lines in its configuration.
func openGate(t *testing.T, lines string) *gate {
	t.Helper()
	g := &gate{ca: cert.New(t), origin: cert.New(t, squid.Host)}
	g.Process = squid.Start(t, squid.Config{Lines: squid.AllowUpgrade + lines, CA: g.ca, Origin: g.origin})
	return g
}

// stage is a server behind a gate. It offers inner TLS and wants a certificate
// in it.
type stage struct {
	*gate

	addr  string          // as the client dials it
	own   tls.Certificate // of the client
	lis   *listener.Listener
	calls chan context.Context // of the RPCs at the server
	wires wires
}

// serve starts a server. change may be nil.
func (g *gate) serve(t *testing.T, change func(*listener.Config)) *stage {
	t.Helper()
	own, err := testnet.Certificate("client.test")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{gate: g, own: own, calls: make(chan context.Context, 100)}
	inside := g.origin.Server.Clone()
	inside.ClientAuth, inside.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	inside.ClientCAs.AddCert(own.Leaf)
	cfg := &listener.Config{TLS: g.origin.Server.Clone(), InnerTLS: inside}
	if change != nil {
		change(cfg)
	}
	s.lis = rpc.Serve(t, cfg, &echo.Server{OnCall: func(ctx context.Context) {
		select {
		case s.calls <- ctx:
		default: // enough
		}
	}})
	_, port, _ := net.SplitHostPort(s.lis.Addr().String())
	s.addr = net.JoinHostPort(squid.Host, port)
	return s
}

// inside is the inner TLS of a client that the server lets in.
func (s *stage) inside() *tls.Config {
	cfg := s.origin.Client.Clone()
	cfg.Certificates = []tls.Certificate{s.own}
	return cfg
}

// dialer trusts squid for the outer TLS. A nil inside is no inner TLS.
func (s *stage) dialer(inside *tls.Config) *fallback.Dialer {
	return &fallback.Dialer{
		Mode: fallback.WebSocket, TLS: s.ca.Client.Clone(), InnerTLS: inside,
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: s.Addr}), NetDial: s.wires.dial,
	}
}

// client is a client of d, and what closes both, which the end of the test does
// too.
func (s *stage) client(t *testing.T, d *fallback.Dialer) (testgrpc.TestServiceClient, func()) {
	t.Helper()
	cc, err := grpc.NewClient(s.addr, d.DialOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	closeBoth := sync.OnceFunc(func() {
		if err := errors.Join(cc.Close(), d.Close()); err != nil {
			t.Errorf("got %v from closing, want nil", err)
		}
	})
	t.Cleanup(closeBoth)
	return testgrpc.NewTestServiceClient(cc), closeBoth
}

// presented is the certificate of the peer that gRPC sees at the client.
func presented(t *testing.T, c testgrpc.TestServiceClient) *x509.Certificate {
	t.Helper()
	var p peer.Peer
	if _, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Peer(&p)); err != nil {
		t.Fatal(err)
	}
	return leaf(t, p.AuthInfo)
}

// leaf is the certificate in auth.
func leaf(t *testing.T, auth credentials.AuthInfo) *x509.Certificate {
	t.Helper()
	info, ok := auth.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		t.Fatalf("got %T without a certificate, want TLSInfo with one", auth)
	}
	return info.State.PeerCertificates[0]
}
