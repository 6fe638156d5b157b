package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
)

// proxy is a reverse proxy as companies and ingress controllers run them: it
// ends TLS, and speaks HTTP/1.1 to the server.
type proxy struct {
	addr     string
	upgrades atomic.Int64 // answered with 101
	server   *http.Server
}

// startProxy starts a proxy in front of backend that speaks protos to clients.
func startProxy(serverTLS, clientTLS *tls.Config, backend string, protos ...string) (*proxy, error) {
	front := serverTLS.Clone()
	front.NextProtos = protos
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	back := clientTLS.Clone()
	back.NextProtos = []string{"http/1.1"}
	p := &proxy{addr: lis.Addr().String()}
	quiet := log.New(io.Discard, "", 0)
	rp := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: backend})
			r.SetXForwarded()
		},
		Transport: &http.Transport{TLSClientConfig: back, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusSwitchingProtocols {
				p.upgrades.Add(1)
			}
			return nil
		},
		ErrorLog: quiet,
	}
	p.server = &http.Server{Handler: rp, TLSConfig: front, ErrorLog: quiet}
	go func() { _ = p.server.Serve(tls.NewListener(lis, front)) }()
	return p, nil
}

func (p *proxy) close() { _ = p.server.Close() }
