package wsconn_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"culvert/wsconn"
)

// TestProxyHeader sends fields with each CONNECT. A Proxy-Authorization among
// them takes the place of the URL's in the first one alone.
func TestProxyHeader(t *testing.T) {
	wrong := errors.New("no ticket")
	for _, tt := range []struct {
		name   string
		fields http.Header
		auth   http.Header // for a 407
		err    error
		want   []string // X-Corp and Proxy-Authorization of each CONNECT
	}{
		{"none", nil, nil, nil, []string{" Basic dTpw"}},
		{"a field", http.Header{"X-Corp": {"a"}}, nil, nil, []string{"a Basic dTpw"}},
		{"any spelling", http.Header{"x-corp": {"a"}, "content-length": {"9"}, "host": {"evil.invalid"}}, nil, nil, []string{"a Basic dTpw"}},
		{"authorization", http.Header{"X-Corp": {"a"}, "Proxy-Authorization": {"Bearer t"}}, nil, nil, []string{"a Bearer t"}},
		{
			"two legs", http.Header{"X-Corp": {"a"}, "Proxy-Authorization": {"Bearer t"}}, http.Header{"Proxy-Authorization": {"Steps 2"}}, nil,
			[]string{"a Bearer t", "a Steps 2"},
		},
		{"two legs, one field", http.Header{"X-Corp": {"a"}}, http.Header{"x-corp": {"b"}}, nil, []string{"a Basic dTpw", "b "}},
		{"error", nil, nil, wrong, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			answered := 0
			d := &wsconn.Dialer{
				Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.invalid:3128", User: url.UserPassword("u", "p")}),
				ProxyHeader: func(_ context.Context, proxy *url.URL, target string) (http.Header, error) {
					if answered++; proxy.Host != "proxy.invalid:3128" || target != "api.invalid:80" || answered > 1 {
						t.Errorf("call %d for %s by %s", answered, target, proxy.Host)
					}
					return tt.fields, tt.err
				},
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go func() {
						for br := bufio.NewReader(far); ; {
							r, err := http.ReadRequest(br)
							if err != nil {
								return
							}
							if r.Host != "api.invalid:80" || r.ContentLength != 0 {
								t.Errorf("got CONNECT with Host %s, length %d", r.Host, r.ContentLength)
							}
							got = append(got, r.Header.Get("X-Corp")+" "+r.Header.Get("Proxy-Authorization"))
							if len(got) < len(tt.want) {
								_, _ = io.WriteString(far, wants+"Content-Length: 0\r\n\r\n")
							} else {
								_, _ = io.WriteString(far, "HTTP/1.1 200 OK\r\n\r\n")
							}
						}
					}()
					return near, nil
				},
			}
			if tt.auth != nil {
				d.ProxyAuth = func(context.Context, *url.URL, *http.Response) (http.Header, error) { return tt.auth, nil }
			}
			c, err := d.Connect(t.Context(), &url.URL{Scheme: "ws", Host: "api.invalid"})
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil {
				_ = c.Close()
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.fields.Get("Content-Length") != "" || len(tt.fields["Proxy-Authorization"]) > 0 && tt.fields.Get("Proxy-Authorization") != "Bearer t" {
				t.Errorf("the caller's header was changed: %v", tt.fields)
			}
		})
	}
}
