package fallback

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"culvert/wsconn"
)

// unreachedError is a server, or the proxy to it, that could not be connected
// to: TCP, a CONNECT or SOCKS failed. It says nothing about HTTP/2.
type unreachedError struct{ err error }

func (e *unreachedError) Error() string { return e.err.Error() }
func (e *unreachedError) Unwrap() error { return e.err }

// connect opens a connection to addr, an address of t, and does TLS, offering
// protos, unless the Dialer is Insecure. reached is called in between.
func (t *target) connect(ctx context.Context, addr string, reached func(), protos ...string) (net.Conn, error) {
	d := t.dialer
	timeout := orDefault(d.HandshakeTimeout, defaultHandshakeTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, silence(timeout))
	defer cancel()
	c, err := t.reach(ctx, addr)
	if err != nil {
		return nil, err
	}
	reached()
	if d.Insecure {
		return c, nil
	}
	return t.secure(ctx, c, addr, protos)
}

// reach opens a byte stream to addr: TCP, through the proxy that is chosen now
// if there is one, or a unix socket.
func (t *target) reach(ctx context.Context, addr string) (net.Conn, error) {
	d := t.dialer
	c, err := t.reachBy(ctx, addr)
	d.Trace.connected(t.name, addr, err)
	if err != nil {
		return nil, &unreachedError{fmt.Errorf("fallback: connecting to %s: %w", t.name, causeOr(ctx, err))}
	}
	return c, nil
}

func (t *target) reachBy(ctx context.Context, addr string) (net.Conn, error) {
	d := t.dialer
	if err := t.dest.check(); err != nil {
		return nil, err
	}
	wd := d.webSocketDialer()
	wd.Network, wd.Addr = t.dest.network, addr
	wd.Proxy = func(*http.Request) (*url.URL, error) { return d.proxyTo(t.dest) }
	u := &url.URL{Scheme: d.scheme("http"), Host: t.dest.addr}
	if t.dest.network == networkUnix {
		wd.Addr, u.Host = t.dest.addr, "localhost"
	}
	return wd.Connect(ctx, u)
}

// proxyTo returns the proxy to dest, nil for none. As in grpc-go, the request
// that it is chosen for has the scheme https, with TLS or without.
func (d *Dialer) proxyTo(dest destination) (*url.URL, error) {
	if dest.proxied == "" {
		return nil, nil //nolint:nilnil // as http.ProxyFromEnvironment
	}
	choose := d.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	u := &url.URL{Scheme: "https", Host: dest.proxied}
	return choose(&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}})
}

// upgrade opens a WebSocket with wd: on established, a connection to the server
// on which TLS is done, or on a new one if that is nil.
func (t *target) upgrade(ctx context.Context, wd *wsconn.Dialer, established net.Conn) (*wsconn.Conn, error) {
	d := t.dialer
	timeout := orDefault(d.HandshakeTimeout, defaultHandshakeTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, silence(timeout))
	defer cancel()
	c := established
	if c == nil {
		var err error
		if c, err = t.connect(ctx, t.dest.addr, func() {}, "http/1.1"); err != nil {
			return nil, err
		}
	}
	u, err := d.url(t.dest)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return wd.Handshake(ctx, c, u.String())
}

// url returns the URL of the upgrade request.
func (d *Dialer) url(dest destination) (*url.URL, error) {
	path := d.Path
	if path == "" {
		path = defaultPath
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u, err := url.Parse(path)
	if err != nil || u.Host != "" {
		return nil, fmt.Errorf("fallback: Dialer.Path %q is not the path of a URL", d.Path)
	}
	u.Scheme, u.Host = d.scheme("ws"), dest.host(d.scheme("ws"))
	return u, nil
}

// webSocketDialer returns the dialer of the layer beneath.
func (d *Dialer) webSocketDialer() *wsconn.Dialer {
	return &wsconn.Dialer{
		ProxyTLS:         d.ProxyTLS,
		ProxyAuth:        d.ProxyAuth,
		ProxyHeader:      d.ProxyHeader,
		DialContext:      d.NetDial,
		Subprotocols:     []string{subprotocol},
		HandshakeTimeout: orDefault(d.HandshakeTimeout, defaultHandshakeTimeout),
		MaxHead:          orDefault(d.MaxHead, defaultMaxHead),
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

// scheme returns base, with an s unless the Dialer is Insecure.
func (d *Dialer) scheme(base string) string {
	if d.Insecure {
		return base
	}
	return base + "s"
}

// causeOr returns why ctx ended, err if it has not.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// tlsConfig returns the configuration of the outer TLS to dest.
func (d *Dialer) tlsConfig(dest destination, protos []string) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.TLS != nil {
		cfg = d.TLS.Clone()
	}
	cfg.NextProtos = protos
	if cfg.ServerName == "" {
		cfg.ServerName = dest.serverName()
	}
	return cfg
}
