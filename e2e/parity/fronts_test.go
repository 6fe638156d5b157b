package parity_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"golang.org/x/net/http2"
)

// toBackend hands requests on to the backend as HTTP/2, or if h1 as HTTP/1.1, for
// what is not of HTTP/2 or an upgrade as HTTP/1.1 in any case.
func (w *world) toBackend(h1 bool) http.Handler {
	backend := w.backend
	u := &url.URL{Scheme: "http", Host: backend}
	one := httputil.NewSingleHostReverseProxy(u)
	one.ErrorLog, one.FlushInterval = quiet, -1
	two := httputil.NewSingleHostReverseProxy(u)
	two.ErrorLog, two.FlushInterval = quiet, -1
	transport := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, _ string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, backend)
	}}
	w.Cleanup(transport.CloseIdleConnections)
	two.Transport = transport
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && !h1 {
			two.ServeHTTP(rw, r)
			return
		}
		one.ServeHTTP(rw, r)
	})
}

// behind puts a front before a backend that speaks cleartext.
func behind(h func(w *world, next http.Handler) http.Handler) part {
	return with(func(w *world) { w.front(h(w, w.toBackend(false))) })
}

// downgrade is a front that speaks HTTP/2 to clients and HTTP/1.1 to the backend.
var downgrade = with(func(w *world) { w.front(w.toBackend(true)) })

// pathRoutes has the service's path alone led to the backend; other answers all
// else.
func pathRoutes(other http.HandlerFunc) part {
	return behind(func(_ *world, next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/parity.Service/") {
				next.ServeHTTP(rw, r)
				return
			}
			other(rw, r)
		})
	})
}

// status answers with a code.
func statusOf(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, http.StatusText(code), code) }
}

// page answers 200 with a page.
func page(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(rw, "<!doctype html><title>app</title>")
}

// login redirects.
func login(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/login", http.StatusFound) }

// hold never answers.
func hold(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// abort resets the stream.
func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// onlyHost is a front that knows one Host, as most ingresses do.
func onlyHost(host string) part {
	return behind(func(_ *world, next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Host != host {
				http.NotFound(rw, r)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
}

// onlyField is a front that wants a field of the request.
func onlyField(key, value string) part {
	return behind(func(_ *world, next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get(key) != value {
				http.Error(rw, "who are you?", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
		})
	})
}

// everything answers all requests by itself.
func everything(h http.HandlerFunc) part {
	return behind(func(*world, http.Handler) http.Handler { return h })
}

// relayed puts a relay of bytes before the backend, which treats connections by
// how they begin.
func relayed(treat func(w *world, c net.Conn, first []byte) bool) part {
	return with(func(w *world) {
		l, backend := w.listen("127.0.0.1:0"), w.backend
		w.backend = l.Addr().String()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					br := bufio.NewReaderSize(c, 16<<10)
					if _, err := br.Peek(5); err != nil {
						return
					}
					first, _ := br.Peek(br.Buffered())
					if !treat(w, c, first) {
						return
					}
					splice(c, br, backend)
				}()
			}
		}()
	})
}

// splice relays between c, which br reads, and addr.
func splice(c net.Conn, br io.Reader, addr string) {
	b, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer b.Close()
	go func() {
		_, _ = io.Copy(b, br)
		_ = b.Close()
	}()
	_, _ = io.Copy(c, b)
}

// offersH2 reports whether a ClientHello does.
func offersH2(first []byte) bool { return strings.Contains(string(first), "\x02h2") }

// cutsH2 resets connections whose ClientHello offers h2.
func cutsH2(_ *world, c net.Conn, first []byte) bool {
	if offersH2(first) {
		_ = c.(*net.TCPConn).SetLinger(0)
		return false
	}
	return true
}

// dropsH2 never answers them.
func dropsH2(_ *world, c net.Conn, first []byte) bool {
	if offersH2(first) {
		_, _ = io.Copy(io.Discard, c)
		return false
	}
	return true
}

// cutsLarge resets connections whose ClientHello needs more than a packet.
func cutsLarge(_ *world, c net.Conn, first []byte) bool {
	if int(first[3])<<8|int(first[4]) > 1200 {
		_ = c.(*net.TCPConn).SetLinger(0)
		return false
	}
	return true
}

// passes lets all through.
func passes(*world, net.Conn, []byte) bool { return true }

var errRefused = errors.New("connect: connection refused")
