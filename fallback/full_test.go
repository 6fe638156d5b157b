package fallback_test

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/listener"
	"culvert/mux"
)

// TestFullTunnel opens another tunnel when one is full, also where a hop drops
// the field that says how many streams it takes.
func TestFullTunnel(t *testing.T) {
	for _, drops := range []bool{false, true} {
		lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{Mux: &mux.Config{MaxStreams: 3}})
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer(lis.ServerOptions()...)
		(&echo.Server{}).Register(srv)
		go func() { _ = srv.Serve(lis) }()
		hop := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: lis.Addr().String()})
		hop.ModifyResponse = func(r *http.Response) error {
			for key := range r.Header {
				if drops && strings.HasPrefix(key, "Culvert-") {
					r.Header.Del(key)
				}
			}
			return nil
		}
		front, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		web := &http.Server{Handler: hop, ErrorLog: quiet}
		go func() { _ = web.Serve(front) }()
		d := &fallback.Dialer{Insecure: true, Mode: fallback.WebSocket}
		failed := 0
		for range 10 {
			cc, err := grpc.NewClient(front.Addr().String(), d.DialOptions()...)
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			if err := ping(cc); err != nil {
				failed++
			}
		}
		if want := map[bool]int{false: 0, true: 3}[drops]; failed > want {
			t.Errorf("field dropped %v: %d of 10 ClientConns failed at first, want %d at most", drops, failed, want)
		}
		_ = d.Close()
		_ = web.Close()
		srv.Stop()
	}
}
