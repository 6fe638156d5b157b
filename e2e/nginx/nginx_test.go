package nginx_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"culvert/e2e/cert"
	"culvert/e2e/nginx"
)

// TestServer shows that nginx does what its Config says, without us.
func TestServer(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s for %s", r.Proto, r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(backend.Close)
	addr := strings.TrimPrefix(backend.URL, "http://")
	for _, row := range []struct {
		name   string
		cfg    nginx.Config
		path   string
		status int
		front  string // protocol that the client speaks
	}{
		{"passed on", nginx.Config{Backend: addr}, "/culvert", 200, "HTTP/1.1"},
		{"passed on h2", nginx.Config{Backend: addr, HTTP2: true}, "/culvert", 200, "HTTP/2.0"},
		{"other path", nginx.Config{Backend: addr}, "/elsewhere", 404, "HTTP/1.1"},
		{"other prefix", nginx.Config{Backend: addr, Path: "/"}, "/elsewhere", 200, "HTTP/1.1"},
		{"no backend", nginx.Config{}, "/culvert", 502, "HTTP/1.1"},
		{"no password", nginx.Config{Backend: addr, User: "a:b"}, "/culvert", 401, "HTTP/1.1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.cfg.Cert = cert.New(t)
			proxy := nginx.Start(t, row.cfg)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: row.cfg.Cert.Client, ForceAttemptHTTP2: true}}
			resp, err := client.Get("https://" + proxy.Addr + row.path)
			if err != nil {
				t.Fatalf("got %v, want an answer", err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Errorf("got %v from closing the body, want nil", err)
			}
			if resp.StatusCode != row.status || resp.Proto != row.front {
				t.Errorf("got %d over %s, want %d over %s", resp.StatusCode, resp.Proto, row.status, row.front)
			}
			client.CloseIdleConnections()
			want := []nginx.Request{{Status: row.status, Method: "GET", Path: row.path, Proto: row.front}}
			if got := proxy.Requests(t); !slices.Equal(got, want) {
				t.Errorf("got %+v in the access log, want %+v", got, want)
			}
		})
	}
}
