package fallback_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
)

// secured is a server with a certificate for api.test alone, and the Host that
// its last upgrade had.
func secured(t *testing.T) (addr string, d func(mode fallback.Mode) *fallback.Dialer, host *atomic.Value) {
	t.Helper()
	serverTLS, clientTLS, err := testnet.TLS("api.test")
	if err != nil {
		t.Fatal(err)
	}
	host = new(atomic.Value)
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{TLS: serverTLS, Authorize: func(r *http.Request) (any, error) {
		host.Store(r.Host)
		return "", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	(&echo.Server{}).Register(srv)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	return lis.Addr().String(), func(mode fallback.Mode) *fallback.Dialer {
		d := &fallback.Dialer{TLS: clientTLS, Mode: mode}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}, host
}

// call makes an RPC to target.
func call(t *testing.T, target string, opts ...grpc.DialOption) error {
	t.Helper()
	cc, err := grpc.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	return ping(cc)
}

// ping makes an RPC.
func ping(cc *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	return err
}

// TestAuthority verifies the name that grpc's own credentials would, in all
// modes, however the address was found.
func TestAuthority(t *testing.T) {
	addr, dialer, host := secured(t)
	found := func(a resolver.Address) grpc.DialOption {
		r := manual.NewBuilderWithScheme("disco")
		r.InitialState(resolver.State{Addresses: []resolver.Address{a}})
		return grpc.WithResolvers(r)
	}
	for name, tt := range map[string]struct {
		target, host string
		opt          grpc.DialOption
	}{
		"WithAuthority":              {addr, "api.test", grpc.WithAuthority("api.test")},
		"WithAuthority with a port":  {addr, "api.test:99", grpc.WithAuthority("api.test:99")},
		"WithAuthority, default":     {addr, "api.test", grpc.WithAuthority("api.test:443")},
		"passthrough":                {"passthrough:///" + addr, "api.test", grpc.WithAuthority("api.test")},
		"target of another resolver": {"disco:///api.test", "api.test", found(resolver.Address{Addr: addr})},
		"ServerName of the address":  {"disco:///other.test", "api.test", found(resolver.Address{Addr: addr, ServerName: "api.test"})},
	} {
		for _, mode := range []fallback.Mode{fallback.Native, fallback.WebSocket, fallback.Auto} {
			d := dialer(mode)
			if err := call(t, tt.target, append(d.DialOptions(), tt.opt)...); err != nil {
				t.Errorf("%s, mode %d: got %v, want nil", name, mode, err)
			}
			if got := host.Load(); mode == fallback.WebSocket && got != tt.host {
				t.Errorf("%s: got Host %q, want %q", name, got, tt.host)
			}
			status := tt.target
			if strings.HasPrefix(status, "disco:") {
				status = "disco:///api.test" // the authority is all that the Dialer learns of it
			}
			if got := d.Status(status); mode == fallback.Auto && got.Way != fallback.Direct {
				t.Errorf("%s: got %+v, want native", name, got)
			}
		}
	}
}

// TestServerNameOverrides sends and verifies TLS.ServerName, as grpc's own
// credentials do.
func TestServerNameOverrides(t *testing.T) {
	addr, dialer, _ := secured(t)
	for _, mode := range []fallback.Mode{fallback.Native, fallback.WebSocket, fallback.Auto} {
		d := dialer(mode)
		d.TLS = d.TLS.Clone()
		d.TLS.ServerName = "api.test"
		if err := call(t, addr, d.DialOptions()...); err != nil {
			t.Errorf("mode %d: got %v, want nil", mode, err)
		}
	}
}

// TestLeftover says which option is to be removed.
func TestLeftover(t *testing.T) {
	addr, dialer, _ := secured(t)
	for name, tt := range map[string]struct {
		opt  grpc.DialOption
		want string
	}{
		"credentials": {grpc.WithTransportCredentials(insecure.NewCredentials()), "remove grpc.WithTransportCredentials"},
		"dialer": {grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}), "remove grpc.WithContextDialer"},
	} {
		err := call(t, addr, append(dialer(fallback.Auto).DialOptions(), grpc.WithAuthority("api.test"), tt.opt)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, tt.want)
		}
	}
}

// TestMismatch says which end speaks TLS.
func TestMismatch(t *testing.T) {
	addr, _, _ := secured(t)
	d := &fallback.Dialer{Insecure: true}
	defer d.Close()
	if err := call(t, addr, d.DialOptions()...); err == nil || !strings.Contains(err.Error(), "unset Dialer.Insecure") {
		t.Errorf("cleartext against TLS: got %v, want what to do", err)
	}
	lis, err := listener.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	secure := &fallback.Dialer{}
	defer secure.Close()
	if err := call(t, lis.Addr().String(), secure.DialOptions()...); err == nil || !strings.Contains(err.Error(), "set Dialer.Insecure") {
		t.Errorf("TLS against cleartext: got %v, want what to do", err)
	}
}
