package matrix_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"culvert/e2e/internal/squid"
	"culvert/fallback"
)

// treatment is what a middlebox does with a connection.
type treatment int

const (
	relay treatment = iota
	reset
	swallow
)

// listen accepts connections on a free port until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// middlebox treats a connection by whether its ClientHello offers h2.
func middlebox(h2, other treatment) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		addr := listen(t, func(c net.Conn) {
			hello := make([]byte, 16<<10)
			n, err := c.Read(hello)
			if err != nil {
				_ = c.Close()
				return
			}
			do := other
			if bytes.Contains(hello[:n], []byte("\x02h2")) {
				do = h2
			}
			switch do {
			case reset:
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			case swallow:
				_, _ = io.Copy(io.Discard, c)
			case relay:
				splice(c, s.secure, hello[:n])
			}
		})
		return target{"localhost:" + portOf(addr), func() *fallback.Dialer { return &fallback.Dialer{TLS: s.origin.Client.Clone()} }}
	}
}

// splice relays between c, of which begin was read, and addr.
func splice(c net.Conn, addr string, begin []byte) {
	defer c.Close()
	s, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer s.Close()
	_, _ = s.Write(begin)
	go func() {
		_, _ = io.Copy(c, s)
		_ = c.Close()
	}()
	_, _ = io.Copy(s, c)
}

// terminator opens TLS, negotiating one of protos, and relays bytes to the
// cleartext port of the origin.
func terminator(protos ...string) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		cfg := s.front.Server.Clone()
		cfg.NextProtos = protos
		return inFront(s, listen(t, func(c net.Conn) { splice(tls.Server(c, cfg), s.clear, nil) }))
	}
}

// connectProxy answers every CONNECT with status and a page.
func connectProxy(status int) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		addr := serveHTTP(t, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "gate/7")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, page)
		}))
		return throughProxy(s, &url.URL{Scheme: "http", Host: addr})
	}
}

const page = "<html><title>Please log in</title></html>\n"

// serveHTTP serves h over TLS, or in cleartext if cfg is nil.
func serveHTTP(t *testing.T, cfg *tls.Config, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: cfg}
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return addr
}

// peer is a server of h2 and HTTP/1.1 that does one thing to h2, and relays
// WebSockets.
func peer(handle func(upgrades, native http.Handler) (http.Handler, func(*tls.Conn))) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		origin := &url.URL{Scheme: "http", Host: s.clear}
		upgrades := httputil.NewSingleHostReverseProxy(origin)
		native := httputil.NewSingleHostReverseProxy(origin)
		native.FlushInterval = -1
		native.ErrorLog = log.New(io.Discard, "", 0)
		transport := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
		t.Cleanup(transport.CloseIdleConnections)
		native.Transport = transport
		h, raw := handle(upgrades, native)
		cfg := s.front.Server.Clone()
		cfg.NextProtos = []string{"h2", "http/1.1"}
		if raw == nil {
			return inFront(s, serveHTTP(t, cfg, h))
		}
		return inFront(s, serveHTTP1(t, cfg, upgrades, raw))
	}
}

// serveHTTP1 gives h2 connections to raw.
func serveHTTP1(t *testing.T, cfg *tls.Config, h http.Handler, raw func(*tls.Conn)) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: cfg,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){
			"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
				defer c.Close()
				raw(c)
			},
		}}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

// loginPage answers everything with a page.
func loginPage(http.Handler, http.Handler) (http.Handler, func(*tls.Conn)) {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "gate/7")
		_, _ = io.WriteString(w, page)
	}), nil
}

// byVersion gives HTTP/1.1 to upgrades and h2 to native.
func byVersion(upgrades, native http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 {
			upgrades.ServeHTTP(w, r)
			return
		}
		native.ServeHTTP(w, r)
	})
}

func loseTrailers(upgrades, native http.Handler) (http.Handler, func(*tls.Conn)) {
	return byVersion(upgrades, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		native.ServeHTTP(w, r)
		maps.DeleteFunc(w.Header(), func(key string, _ []string) bool { return strings.HasPrefix(key, http.TrailerPrefix) })
	})), nil
}

func bufferRequests(upgrades, native http.Handler) (http.Handler, func(*tls.Conn)) {
	return byVersion(upgrades, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		native.ServeHTTP(w, r)
	})), nil
}

// silentH2 reads and says nothing.
func silentH2(http.Handler, http.Handler) (http.Handler, func(*tls.Conn)) {
	return nil, func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) }
}

// goAway takes no stream.
func goAway(http.Handler, http.Handler) (http.Handler, func(*tls.Conn)) {
	return nil, func(c *tls.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if frame.Header().Type == http2.FrameHeaders {
				_ = f.WriteGoAway(0, http2.ErrCodeHTTP11Required, nil)
			}
		}
	}
}

// socks is a proxy of RFC 1928 without authentication, which alone knows the
// origin's name.
func socks(t *testing.T, s *stage) target {
	addr := listen(t, func(c net.Conn) {
		defer c.Close()
		head := make([]byte, 2)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		_, _ = io.ReadFull(c, make([]byte, head[1]))
		_, _ = c.Write([]byte{5, 0})
		request := make([]byte, 5)
		if _, err := io.ReadFull(c, request); err != nil || request[3] != 3 {
			return
		}
		host := make([]byte, int(request[4])+2)
		if _, err := io.ReadFull(c, host); err != nil || string(host[:len(host)-2]) != squid.Host {
			return
		}
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		splice(c, s.secure, nil)
	})
	return throughProxy(s, &url.URL{Scheme: "socks5", Host: addr})
}
