package fallback_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"culvert/fallback"
	"culvert/internal/testnet"
	"culvert/listener"
)

// token is per-RPC credentials that need a secure transport.
type token struct{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer t"}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (token) RequireTransportSecurity() bool { return true }

// TestCredentials sends a token and a client certificate both ways, and sees
// TLSInfo at both ends.
func TestCredentials(t *testing.T) {
	own, err := testnet.Certificate("client.test")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(own.Leaf)
	for _, mode := range []fallback.Mode{fallback.Auto, fallback.Native, fallback.WebSocket} {
		t.Run(modeName(mode, true), func(t *testing.T) {
			f := start(t, true, listener.Config{}, &fallback.Dialer{Mode: mode})
			var p peer.Peer
			_, err := f.client(t, grpc.WithPerRPCCredentials(token{})).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Peer(&p))
			if err != nil {
				t.Fatal(err)
			}
			if info, ok := p.AuthInfo.(credentials.TLSInfo); !ok || len(info.State.PeerCertificates) == 0 {
				t.Errorf("client's AuthInfo: got %T, want TLSInfo with certificates", p.AuthInfo)
			}
			md, _ := metadata.FromIncomingContext(<-f.calls)
			if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer t" {
				t.Errorf("token: got %q", got)
			}
		})
	}
	for _, mode := range []fallback.Mode{fallback.Auto, fallback.Native, fallback.WebSocket} {
		t.Run("mTLS/"+modeName(mode, true), func(t *testing.T) {
			serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			serverTLS.ClientAuth, serverTLS.ClientCAs = tls.RequireAndVerifyClientCert, roots
			l, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{TLS: serverTLS})
			if err != nil {
				t.Fatal(err)
			}
			bare := &fallback.Dialer{Mode: mode, TLS: clientTLS.Clone()}
			defer bare.Close()
			clientTLS.Certificates = []tls.Certificate{own}
			f := &fixture{listener: l, dialer: &fallback.Dialer{Mode: mode, TLS: clientTLS}, addr: l.Addr().String()}
			f.serve(t)
			fourKinds(t.Context(), t, f.client(t), 100)
			p, _ := peer.FromContext(<-f.calls)
			info, ok := p.AuthInfo.(credentials.TLSInfo)
			if !ok || len(info.State.PeerCertificates) != 1 || info.State.PeerCertificates[0].DNSNames[0] != "client.test" {
				t.Errorf("server's AuthInfo: got %+v, want the client's certificate", p.AuthInfo)
			}
			without := &fixture{dialer: bare, addr: f.addr}
			if _, err := without.client(t).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); status.Code(err) != codes.Unavailable {
				t.Errorf("without a certificate: got %v, want Unavailable", err)
			}
		})
	}
}

// TestServerName checks the certificate's name on both ways, and of authorities.
func TestServerName(t *testing.T) {
	for _, mode := range []fallback.Mode{fallback.Auto, fallback.Native, fallback.WebSocket} {
		t.Run(modeName(mode, true), func(t *testing.T) {
			f := start(t, true, listener.Config{}, &fallback.Dialer{Mode: mode})
			_, err := f.client(t, grpc.WithAuthority("other.test")).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			if err == nil || !strings.Contains(err.Error(), "other.test") {
				t.Errorf("authority: got %v, want an error that names it", err)
			}
			wrong := &fallback.Dialer{Mode: mode, TLS: f.dialer.TLS.Clone()}
			defer wrong.Close()
			wrong.TLS.ServerName = "wrong.test"
			g := &fixture{dialer: wrong, addr: f.addr}
			if _, err := g.client(t).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err == nil || !strings.Contains(err.Error(), "wrong.test") {
				t.Errorf("server name: got %v, want an error that names it", err)
			}
		})
	}
}
