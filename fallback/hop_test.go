package fallback_test

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// limit bounds an RPC that has to succeed.
const limit = 10 * time.Second

// hop is a reverse proxy at front that speaks h2 on both sides, lets WebSockets
// pass, and does to gRPC what it is told.
type hop struct {
	loseTrailers bool
	buffer       bool   // answers, until the request has ended
	reset        bool   // requests, with HTTP_1_1_REQUIRED
	status       int    // in the place of an answer
	body         string // of that
}

// hop starts a reverse proxy.
func (w *world) hop(h hop) {
	native := w.forward(true)
	upgrades := w.forward(false)
	w.serveFront(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor == 1:
			upgrades.ServeHTTP(rw, r)
		case h.status != 0:
			rw.Header().Set("Server", "hop/1")
			rw.WriteHeader(h.status)
			_, _ = io.WriteString(rw, h.body)
		case h.loseTrailers:
			native.ServeHTTP(rw, r)
			maps.DeleteFunc(rw.Header(), func(key string, _ []string) bool { return strings.HasPrefix(key, http.TrailerPrefix) })
		case h.buffer:
			body, err := io.ReadAll(r.Body)
			if err == nil {
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				native.ServeHTTP(rw, r)
			}
		default:
			native.ServeHTTP(rw, r)
		}
	}), h.reset)
}

// ingress starts a reverse proxy for one service, and nothing else.
func (w *world) ingress(prefix string) {
	native := w.forward(true)
	w.serveFront(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, prefix) {
			http.NotFound(rw, r)
			return
		}
		native.ServeHTTP(rw, r)
	}), false)
}

// forward returns a reverse proxy to the origin, over h2 or HTTP/1.1.
func (w *world) forward(h2 bool) *httputil.ReverseProxy {
	protos := []string{"http/1.1"}
	if h2 {
		protos = []string{"h2"}
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := w.net.DialNear(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		cfg := w.clientTLS.Clone()
		cfg.ServerName, cfg.NextProtos = strings.TrimSuffix(w.origin, ":443"), protos
		return tls.Client(c, cfg), nil
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: w.origin})
	proxy.ErrorLog = quiet
	proxy.FlushInterval = -1
	if h2 {
		transport := &http2.Transport{DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return dial(ctx, network, addr)
		}}
		proxy.Transport = transport
		w.atEnd(transport.CloseIdleConnections)
		return proxy
	}
	transport := &http.Transport{DialTLSContext: dial}
	proxy.Transport = transport
	w.atEnd(transport.CloseIdleConnections)
	return proxy
}

// serveFront serves h at front, over h2 and HTTP/1.1. If reset is set, h2 is
// answered with HTTP_1_1_REQUIRED.
func (w *world) serveFront(h http.Handler, reset bool) {
	srv := &http.Server{Handler: h, ErrorLog: quiet, TLSConfig: w.serverTLS.Clone()}
	srv.TLSConfig.NextProtos = []string{"h2", "http/1.1"}
	if reset {
		srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": requireHTTP1}
	}
	port := tls.NewListener(w.net.Listen(w.front), srv.TLSConfig)
	go func() { _ = srv.Serve(port) }()
	w.atEnd(func() { _ = srv.Close() })
}

// requireHTTP1 resets every stream with HTTP_1_1_REQUIRED.
func requireHTTP1(_ *http.Server, c *tls.Conn, _ http.Handler) {
	defer c.Close()
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
			_ = f.WriteRSTStream(frame.Header().StreamID, http2.ErrCodeHTTP11Required)
		}
	}
}
