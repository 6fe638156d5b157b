package nginx_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/e2e/cert"
	"culvert/e2e/nginx"
	"culvert/fallback"
	"culvert/listener"
	"culvert/wsconn"
)

const user = "e2e:secret"

// TestRefused shows what the client reports when nginx does not open the way:
// the status, who gave it, and the beginning of its page.
func TestRefused(t *testing.T) {
	for _, row := range []struct {
		name   string
		cfg    nginx.Config
		path   string
		status int
		page   string // in nginx's page
	}{
		{"backend down", nginx.Config{}, "", http.StatusBadGateway, "<title>502 Bad Gateway</title>"},
		{"wrong path", nginx.Config{}, "/elsewhere", http.StatusNotFound, "<title>404 Not Found</title>"},
		{"no password", nginx.Config{User: user}, "", http.StatusUnauthorized, "<title>401 Authorization Required</title>"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.cfg.Cert = cert.New(t)
			proxy := nginx.Start(t, row.cfg)
			d := dialer(t, &fallback.Dialer{Mode: fallback.WebSocket, TLS: row.cfg.Cert.Client, Path: row.path})
			_, err := d.DialContext(t.Context(), proxy.Addr)
			var refused *wsconn.StatusError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v from DialContext, want a *wsconn.StatusError", err)
			}
			if refused.StatusCode != row.status || !strings.HasPrefix(refused.Header.Get("Server"), "nginx/") ||
				!strings.Contains(refused.Body, row.page) {
				t.Errorf("got %+v, want status %d by nginx with %q", refused, row.status, row.page)
			}
			wantNamed(t, err, row.status)

			client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, d.DialOptions()...))
			_, err = client.EmptyCall(t.Context(), &testgrpc.Empty{})
			t.Logf("RPC: %v", err)
			want := codes.Unavailable
			if row.status == http.StatusUnauthorized {
				want = codes.Unauthenticated
			}
			if got := status.Code(err); got != want {
				t.Errorf("got code %v from an RPC, want %v", got, want)
			}
			wantNamed(t, err, row.status)
		})
	}
}

// wantNamed fails the test unless the text of err names the status, the server
// and the first text of nginx's page.
func wantNamed(t *testing.T, err error, code int) {
	t.Helper()
	for want, times := range map[string]int{strconv.Itoa(code) + " ": 2, "Server: nginx/": 1} {
		if got := strings.Count(err.Error(), want); got < times {
			t.Errorf("got %q, want a text that contains %q %d times", err, want, times)
		}
	}
}

// TestAuthorized shows that Dialer.Header carries the credentials that nginx
// asks for.
func TestAuthorized(t *testing.T) {
	pair := cert.New(t)
	proxy := nginx.Start(t, nginx.Config{Backend: serve(t, &listener.Config{}), Cert: pair, User: user})
	d := dialer(t, &fallback.Dialer{Mode: fallback.WebSocket, TLS: pair.Client,
		Header: func(context.Context) (http.Header, error) {
			basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(user))
			return http.Header{"Authorization": {basic}}, nil
		},
	})
	client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, d.DialOptions()...))
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); err != nil {
		t.Errorf("got %v, want an answer", err)
	}
}
