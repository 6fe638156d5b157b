package fallback_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"culvert/fallback"
	"culvert/internal/testnet"
	"culvert/listener"
)

// pair returns inner TLS for both ends, with certificates of both.
func pair(t *testing.T, host string) (server, client *tls.Config) {
	t.Helper()
	server, client, err := testnet.TLS(host)
	if err != nil {
		t.Fatal(err)
	}
	own, err := testnet.Certificate("client.test")
	if err != nil {
		t.Fatal(err)
	}
	client.Certificates = []tls.Certificate{own}
	server.ClientAuth, server.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
	server.ClientCAs.AddCert(own.Leaf)
	return server, client
}

// TestInnerTLS makes RPCs through tunnels with TLS inside: gRPC sees that one at
// both ends, before and after the tunnel was cut.
func TestInnerTLS(t *testing.T) {
	for _, secure := range []bool{true, false} {
		t.Run(modeName(fallback.Auto, secure), func(t *testing.T) {
			server, client := pair(t, "127.0.0.1")
			w := &wires{}
			d := &fallback.Dialer{InnerTLS: client, NetDial: w.dial}
			f := start(t, secure, listener.Config{InnerTLS: server}, d)
			c := f.client(t, grpc.WithPerRPCCredentials(token{}))
			for range 2 {
				fourKinds(t.Context(), t, c, 100_000)
				var p peer.Peer
				if _, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Peer(&p)); err != nil {
					t.Fatal(err)
				}
				expectCertificate(t, p.AuthInfo, server.Certificates[0].Leaf)
				w.cut(nil)
			}
			ctx := <-f.calls
			p, _ := peer.FromContext(ctx)
			expectCertificate(t, p.AuthInfo, client.Certificates[0].Leaf)
			if info, _ := listener.FromContext(ctx); !info.Tunnel {
				t.Error("got an RPC that came natively")
			}
			if got := f.listener.Stats(); got.Resumed == 0 || got.Opened != 1 {
				t.Errorf("got %+v, want one tunnel that was resumed", got)
			}
		})
	}
}

// expectCertificate checks that the peer has shown cert.
func expectCertificate(t *testing.T, auth credentials.AuthInfo, cert *x509.Certificate) {
	t.Helper()
	info, ok := auth.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) != 1 || !info.State.PeerCertificates[0].Equal(cert) {
		t.Errorf("got %T, want the TLSInfo of the inner TLS", auth)
	}
}

// TestInnerTLSBesidePlain serves both kinds of tunnels, and native RPCs.
func TestInnerTLSBesidePlain(t *testing.T) {
	server, client := pair(t, "127.0.0.1")
	f := start(t, true, listener.Config{InnerTLS: server}, &fallback.Dialer{})
	fourKinds(t.Context(), t, f.client(t), 100)
	for _, d := range []*fallback.Dialer{{InnerTLS: client}, {Mode: fallback.WebSocket}} {
		d.TLS = f.dialer.TLS
		fourKinds(t.Context(), t, (&fixture{dialer: d, addr: f.addr}).client(t), 100)
		_ = d.Close()
	}
}

// TestInnerTLSRefused gets errors that say what is wrong, and no RPC through.
func TestInnerTLSRefused(t *testing.T) {
	server, client := pair(t, "127.0.0.1")
	_, other := pair(t, "127.0.0.1")
	elsewhere := client.Clone()
	elsewhere.ServerName = "other.test"
	for _, tt := range []struct {
		name    string
		offered *tls.Config
		require bool
		dialer  *fallback.Dialer
		want    string
	}{
		{"not this certificate", server, false, &fallback.Dialer{InnerTLS: other}, "inner TLS"},
		{"not this name", server, false, &fallback.Dialer{InnerTLS: elsewhere}, "other.test"},
		{"not granted", nil, false, &fallback.Dialer{InnerTLS: client}, "does not grant"},
		{"not asked for", server, true, &fallback.Dialer{Mode: fallback.WebSocket}, "set InnerTLS"},
		{"native", server, false, &fallback.Dialer{Mode: fallback.Native, InnerTLS: client}, "the mode is native"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, true, listener.Config{InnerTLS: tt.offered, RequireInnerTLS: tt.require}, tt.dialer)
			_, err := f.client(t).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if len(f.calls) > 0 {
				t.Error("got an RPC at the server")
			}
		})
	}
}
