package listener_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
)

// logged collects what is logged at Warn and above.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// serveOn starts a server of cfg on network and addr.
func serveOn(t *testing.T, network, addr string, cfg *listener.Config, opts ...grpc.ServerOption) *listener.Listener {
	t.Helper()
	l, err := listener.Listen(network, addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(append(l.ServerOptions(), opts...)...)
	(&echo.Server{}).Register(srv)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	return l
}

// ask makes an RPC with opts.
func askRPC(t *testing.T, target string, opts ...grpc.DialOption) error {
	t.Helper()
	cc, err := grpc.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = testgrpc.NewTestServiceClient(cc).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	return err
}

var cleartext = grpc.WithTransportCredentials(insecure.NewCredentials())

// TestAuthorizeNative decides about native connections, whose principal is in
// Info, and says why one is refused.
func TestAuthorizeNative(t *testing.T) {
	var allow bool
	principals := make(chan any, 10)
	note := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		info, _ := listener.FromContext(ctx)
		principals <- info.Principal
		return h(ctx, req)
	}
	l := serveOn(t, "tcp", "127.0.0.1:0", &listener.Config{AuthorizeNative: func(n *listener.Native) (any, error) {
		if !allow || n.RemoteAddr == nil || n.TLS != nil {
			return nil, errors.New("nobody knows you")
		}
		return "me", nil
	}}, grpc.ChainUnaryInterceptor(note))
	if err := askRPC(t, l.Addr().String(), cleartext); err == nil || !strings.Contains(err.Error(), "nobody knows you") {
		t.Errorf("refused: got %v, want the reason", err)
	}
	if got := l.Stats().Refused.Unauthorized; got == 0 {
		t.Error("got no refusal counted, want some")
	}
	allow = true
	if err := askRPC(t, l.Addr().String(), cleartext); err != nil {
		t.Errorf("allowed: got %v, want nil", err)
	}
	if got := <-principals; got != "me" {
		t.Errorf("got the principal %v, want me", got)
	}
}

// TestRequireTunnel refuses native connections, and a Dialer takes the tunnel.
func TestRequireTunnel(t *testing.T) {
	l := serveOn(t, "tcp", "127.0.0.1:0", &listener.Config{RequireTunnel: true})
	if err := askRPC(t, l.Addr().String(), cleartext); err == nil {
		t.Error("grpc-go alone: got nil, want a refusal")
	}
	d := &fallback.Dialer{Insecure: true}
	defer d.Close()
	begin := time.Now()
	if err := askRPC(t, l.Addr().String(), d.DialOptions()...); err != nil {
		t.Errorf("Dialer: got %v, want nil", err)
	}
	if got := d.Status(l.Addr().String()); got.Way != fallback.Tunnel || time.Since(begin) > 2*time.Second {
		t.Errorf("got %v (%s) after %v, want the tunnel at once", got.Way, got.Reason, time.Since(begin))
	}
}

// TestWarnings names, once, what is configured against the operator's intent.
func TestWarnings(t *testing.T) {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	anybody := func(*http.Request) (any, error) { return "", nil }
	for name, tt := range map[string]struct {
		cfg  listener.Config
		opts []grpc.ServerOption
		call grpc.DialOption
		want string
	}{
		"Authorize alone":       {listener.Config{Authorize: anybody}, nil, cleartext, "set AuthorizeNative"},
		"and RequireTunnel":     {listener.Config{Authorize: anybody, RequireTunnel: true}, nil, nil, ""},
		"cleartext to TLS":      {listener.Config{TLS: serverTLS}, nil, cleartext, "speaks cleartext"},
		"TLS to cleartext":      {listener.Config{}, nil, grpc.WithTransportCredentials(credentials.NewTLS(clientTLS)), "speaks TLS"},
		"credentials left over": {listener.Config{}, []grpc.ServerOption{grpc.Creds(credentials.NewTLS(serverTLS))}, cleartext, "remove grpc.Creds"},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logged{}
			tt.cfg.Logger = log.logger()
			l := serveOn(t, "tcp", "127.0.0.1:0", &tt.cfg, tt.opts...)
			if tt.call != nil {
				for range 3 {
					_ = askRPC(t, l.Addr().String(), tt.call)
				}
			}
			if got := log.String(); tt.want != "" && strings.Count(got, tt.want) != 1 || tt.want == "" && got != "" {
				t.Errorf("got %q, want %q once", got, tt.want)
			}
		})
	}
}

// TestLeftoverClient tells the client too what is wrong at the server.
func TestLeftoverClient(t *testing.T) {
	serverTLS, _, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l := serveOn(t, "tcp", "127.0.0.1:0", nil, grpc.Creds(credentials.NewTLS(serverTLS)))
	if err := askRPC(t, l.Addr().String(), cleartext); err == nil || !strings.Contains(err.Error(), "remove grpc.Creds") {
		t.Errorf("got %v, want what to remove at the server", err)
	}
}

// TestMaxAuthorizing bounds calls of Authorize that run at a time.
func TestMaxAuthorizing(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{}, 10)
	l := serveOn(t, "tcp", "127.0.0.1:0", &listener.Config{MaxAuthorizing: 2, Authorize: func(*http.Request) (any, error) {
		entered <- struct{}{}
		<-hold
		return "", nil
	}})
	defer close(hold)
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write([]byte(upgrade + "\r\n"))
		<-entered
	}
	if r := ask(t, l, upgrade+"\r\n"); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("got %s, want 503 with Retry-After", r.Status)
	}
	if got := l.Stats().Refused.Authorizing; got != 1 {
		t.Errorf("got %d refusals counted, want 1", got)
	}
}

// TestUnixProxy takes the word of a proxy on a unix socket on who the client is,
// if proxies are trusted at all.
func TestUnixProxy(t *testing.T) {
	for trusted, want := range map[string]string{"192.0.2.0/24": "203.0.113.7:0", "": "@"} {
		addrs := make(chan string, 1)
		note := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			p, _ := peer.FromContext(ctx)
			addrs <- p.Addr.String()
			return h(ctx, req)
		}
		cfg := &listener.Config{}
		if trusted != "" {
			cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(trusted)}
		}
		path := filepath.Join(t.TempDir(), "s")
		serveOn(t, "unix", path, cfg, grpc.ChainUnaryInterceptor(note))
		d := &fallback.Dialer{Insecure: true, Mode: fallback.WebSocket, Header: func(context.Context) (http.Header, error) {
			return http.Header{"X-Forwarded-For": {"203.0.113.7, 192.0.2.1"}}, nil
		}}
		if err := askRPC(t, "unix:"+path, d.DialOptions()...); err != nil {
			t.Errorf("trusted %q: got %v, want nil", trusted, err)
		} else if got := <-addrs; got != want {
			t.Errorf("trusted %q: got %q, want %q", trusted, got, want)
		}
		_ = d.Close()
	}
}
