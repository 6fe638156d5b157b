package fallback

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"culvert/internal/ready"
	"culvert/wsconn"
)

// dialNative connects to addr, an address of name, for gRPC over HTTP/2.
func (d *Dialer) dialNative(ctx context.Context, name, addr string) (net.Conn, error) {
	c, err := d.connect(ctx, name, addr, "h2")
	if err != nil {
		return nil, err
	}
	if t, ok := c.(*tls.Conn); ok && t.ConnectionState().NegotiatedProtocol != "h2" {
		p := t.ConnectionState().NegotiatedProtocol
		_ = c.Close()
		return nil, fmt.Errorf("fallback: %s does not speak HTTP/2: ALPN picked %q; mode Auto or WebSocket goes through a tunnel", name, p)
	}
	return d.native(name, c)
}

// attempt makes one try of native at addr: a connection that speaks HTTP/2 and,
// if verify is set, proof on another beside it that gRPC passes.
func (t *target) attempt(ctx context.Context, addr string, verify bool) attempt {
	d := t.dialer
	timeout := orDefault(d.HandshakeTimeout, defaultHandshakeTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, silence(timeout))
	defer cancel()
	var v *verification
	if verify {
		v = t.verify(addr)
	}
	a := t.open(ctx, addr, func() {}, t.onSign)
	if v == nil {
		return a
	}
	if a.err != nil {
		v.cancel()
		return a
	}
	select {
	case <-v.answered:
		return a
	case <-v.done:
		a.err = v.err
	case <-ctx.Done():
		v.cancel()
		a.err = context.Cause(ctx)
	}
	if a.err != nil && classify(a.err) != ambiguous {
		a.close()
		return attempt{err: a.err}
	}
	return a
}

// open connects to addr, offering both protocols, and sees that HTTP/2 is real
// at the first hop. answered and refused hear what watch sees of RPCs.
func (t *target) open(ctx context.Context, addr string, answered func(), refused func(error)) attempt {
	d := t.dialer
	c, err := d.connect(ctx, t.name, addr, "h2", "http/1.1")
	if err != nil {
		return attempt{err: err}
	}
	if sign := noHTTP2(c); sign != nil {
		return attempt{http1: c, err: sign}
	}
	h2, err := greet(ctx, c)
	d.Trace.firstFrame(t.name, err)
	if err != nil {
		_ = c.Close()
		return attempt{err: fmt.Errorf("fallback: HTTP/2 with %s: %w", t.name, err)}
	}
	h2 = watch(h2, answered, refused)
	return attempt{conn: &conn{Conn: h2, Reader: ready.New(h2), auth: authInfo(c)}}
}

// noHTTP2 says why c, on which TLS was done, does not speak HTTP/2.
func noHTTP2(c net.Conn) error {
	tc, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	switch p := tc.ConnectionState().NegotiatedProtocol; p {
	case "h2":
		return nil
	case "":
		return &signError{class: definite, what: "the server, or a proxy that opened TLS, negotiated no protocol (ALPN), so not HTTP/2"}
	default:
		return &signError{class: definite, what: fmt.Sprintf("the server, or a proxy that opened TLS, negotiated %s (ALPN)", p)}
	}
}

// native hands out a native connection in mode Native.
func (d *Dialer) native(name string, c net.Conn) (net.Conn, error) {
	t, err := d.target(name)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	t.nativeWorks("mode Native")
	return &conn{Conn: c, Reader: ready.New(c), auth: authInfo(c)}, nil
}

// connect opens a connection to addr, an address of name, and does TLS unless
// the Dialer is Insecure.
func (d *Dialer) connect(ctx context.Context, name, addr string, protos ...string) (net.Conn, error) {
	timeout := orDefault(d.HandshakeTimeout, defaultHandshakeTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, silence(timeout))
	defer cancel()
	c, err := d.webSocketDialer().Connect(ctx, &url.URL{Scheme: d.scheme("http"), Host: addr})
	d.Trace.connected(name, addr, err)
	if err != nil {
		err = fmt.Errorf("fallback: connecting to %s: %w", name, causeOr(ctx, err))
		if proxy, _ := d.proxyTo(name); proxy == nil {
			err = &unreachableError{err}
		}
		return nil, err
	}
	if d.Insecure {
		return c, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.TLS != nil {
		cfg = d.TLS.Clone()
	}
	cfg.NextProtos = protos
	if cfg.ServerName == "" {
		cfg.ServerName = hostOf(name)
	}
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		d.Trace.tlsDone(name, tls.ConnectionState{}, err)
		return nil, fmt.Errorf("fallback: TLS with %s: %w", name, explainTLS(causeOr(ctx, err)))
	}
	d.Trace.tlsDone(name, t.ConnectionState(), nil)
	return t, nil
}

// causeOr returns why ctx ended, err if it has not.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// webSocketDialer returns the dialer of the layer beneath.
func (d *Dialer) webSocketDialer() *wsconn.Dialer {
	return &wsconn.Dialer{
		TLS:              d.TLS,
		Proxy:            d.Proxy,
		ProxyTLS:         d.ProxyTLS,
		ProxyAuth:        d.ProxyAuth,
		DialContext:      d.NetDial,
		Subprotocols:     []string{subprotocol},
		HandshakeTimeout: orDefault(d.HandshakeTimeout, defaultHandshakeTimeout),
		Config:           d.WebSocket,
	}
}

// proxyTo returns the proxy to name, nil for none.
func (d *Dialer) proxyTo(name string) (*url.URL, error) {
	choose := d.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	u := &url.URL{Scheme: d.scheme("http"), Host: name}
	return choose(&http.Request{Method: http.MethodGet, URL: u, Host: name, Header: http.Header{}})
}

// header asks for the headers of an upgrade request.
func (d *Dialer) header(ctx context.Context) (http.Header, error) {
	if d.Header == nil {
		return http.Header{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(d.HandshakeTimeout, defaultHandshakeTimeout))
	defer cancel()
	return d.Header(ctx)
}

// url returns the URL of the upgrade request.
func (d *Dialer) url(name string) string {
	path := d.Path
	if path == "" {
		path = defaultPath
	}
	return d.scheme("ws") + "://" + name + path
}

// scheme returns base, with an s unless the Dialer is Insecure.
func (d *Dialer) scheme(base string) string {
	if d.Insecure {
		return base
	}
	return base + "s"
}

// hostOf returns the host of a host:port.
func hostOf(name string) string {
	host, _, err := net.SplitHostPort(name)
	if err != nil {
		return name
	}
	return host
}
