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

// dialAuto offers both ways in one TLS handshake and goes the one that the
// answer allows. Without TLS there is nothing to negotiate with: the first
// frame tells.
func (d *Dialer) dialAuto(ctx context.Context, name, addr string) (net.Conn, error) {
	t, err := d.target(name)
	if err != nil {
		return nil, err
	}
	if t.inTunnel() {
		return d.dialTunnel(ctx, name)
	}
	c, err := d.connect(ctx, name, addr, "h2", "http/1.1")
	if err != nil {
		return nil, err
	}
	tc, ok := c.(*tls.Conn)
	if !ok {
		return d.autoCleartext(ctx, name, c)
	}
	if tc.ConnectionState().NegotiatedProtocol == "h2" {
		return d.native(name, c)
	}
	if _, err := t.link(ctx, c); err != nil {
		return nil, err
	}
	return d.dialTunnel(ctx, name)
}

// native hands out a native connection.
func (d *Dialer) native(name string, c net.Conn) (net.Conn, error) {
	t, err := d.target(name)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	t.mu.Lock()
	t.setWay(Direct, "HTTP/2 passes")
	t.mu.Unlock()
	return &conn{Conn: c, Reader: ready.New(c), auth: authInfo(c), native: true}, nil
}

// connect opens a connection to addr, an address of name, and does TLS unless
// the Dialer is Insecure.
func (d *Dialer) connect(ctx context.Context, name, addr string, protos ...string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(d.HandshakeTimeout, defaultHandshakeTimeout))
	defer cancel()
	c, err := d.webSocketDialer().Connect(ctx, &url.URL{Scheme: d.scheme("http"), Host: addr})
	if err != nil {
		return nil, fmt.Errorf("fallback: native gRPC with %s: %w", name, err)
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
		return nil, fmt.Errorf("fallback: TLS with %s: %w", name, err)
	}
	return t, nil
}

// webSocketDialer returns the dialer of the layer beneath.
func (d *Dialer) webSocketDialer() *wsconn.Dialer {
	return &wsconn.Dialer{
		TLS:              d.TLS,
		Proxy:            d.Proxy,
		Subprotocols:     []string{subprotocol},
		HandshakeTimeout: orDefault(d.HandshakeTimeout, defaultHandshakeTimeout),
		Config:           d.WebSocket,
	}
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
