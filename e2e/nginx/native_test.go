package nginx_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/e2e/cert"
	"culvert/e2e/nginx"
	"culvert/fallback"
	"culvert/listener"
)

// TestNative shows what the tunnel is for: without it, gRPC fails through the
// same nginx, and how.
func TestNative(t *testing.T) {
	for _, row := range []struct {
		name  string
		http2 bool
		code  codes.Code
		want  string
	}{
		{"front h1", false, codes.Unavailable, "tls: no application protocol"},
		{"front h2", true, codes.Unknown, "unexpected HTTP status code received from server: 426"},
	} {
		t.Run(row.name, func(t *testing.T) {
			pair := cert.New(t)
			proxy := nginx.Start(t, nginx.Config{
				Backend: serve(t, &listener.Config{}), Cert: pair, HTTP2: row.http2, Path: "/",
			})
			native := dialer(t, &fallback.Dialer{Mode: fallback.Native, TLS: pair.Client})
			for name, opts := range map[string][]grpc.DialOption{
				"grpc":     {grpc.WithTransportCredentials(credentials.NewTLS(pair.Client))},
				"fallback": native.DialOptions(),
			} {
				client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, opts...))
				_, err := client.EmptyCall(t.Context(), &testgrpc.Empty{})
				t.Logf("%s: %v", name, err)
				if status.Code(err) != row.code || !strings.Contains(err.Error(), row.want) {
					t.Errorf("%s: got %v, want code %v and a text that contains %q", name, err, row.code, row.want)
				}
			}
		})
	}
}
