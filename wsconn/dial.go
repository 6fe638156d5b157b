package wsconn

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Defaults of Dialer and Upgrader.
const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultMaxHead          = 16 << 10
)

// Dialer opens WebSockets. The zero value is ready to use. A Dialer may be
// used concurrently and must not be changed once it is in use.
type Dialer struct {
	// TLS configures wss. Its NextProtos are replaced by http/1.1 alone,
	// which also passes middleboxes that drop a ClientHello with h2 in it;
	// an empty ServerName becomes the URL's host. Nil means the defaults.
	TLS *tls.Config

	// Proxy returns the proxy for a request, whose URL has the scheme http
	// or https. http:// and https:// proxies are asked to CONNECT, for ws
	// as well as wss. Nil means http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)

	// ProxyTLS configures the connection to an https:// proxy. Nil means
	// the defaults.
	ProxyTLS *tls.Config

	// Header is added to the upgrade request.
	Header http.Header

	// Subprotocols are offered in this order. If there are any, an answer
	// that does not pick one of them is refused.
	Subprotocols []string

	// DialContext opens the TCP connection. Nil means a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// HandshakeTimeout bounds all of Dial, beside its context. 0 means 10 s.
	HandshakeTimeout time.Duration

	// MaxHead bounds the head of an answer, in bytes. 0 means 16 KiB.
	MaxHead int

	// Config is of the connections.
	Config *Config
}

// Dial opens a WebSocket to rawURL, whose scheme is ws or wss. ctx bounds the
// call, not the connection. Redirects are not followed. The error is a
// *StatusError if a proxy or the server refused, a *HandshakeError if the
// answer was not one to a WebSocket handshake.
func (d *Dialer) Dial(ctx context.Context, rawURL string) (*Conn, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := d.bound(ctx)
	defer cancel()
	c, err := d.Connect(ctx, u)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "wss" {
		if c, err = secure(ctx, c, d.TLS, u.Hostname()); err != nil {
			return nil, fmt.Errorf("wsconn: TLS with %s: %w", hostPort(u), err)
		}
	}
	return d.Handshake(ctx, c, rawURL)
}

// Connect opens the byte stream to the host of u, whose scheme is ws, wss,
// http or https: TCP, and through a proxy a CONNECT. It does no TLS with the
// host itself. A refusal of the proxy is a *StatusError.
func (d *Dialer) Connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	ctx, cancel := d.bound(ctx)
	defer cancel()
	proxy, err := d.proxyFor(u)
	if err != nil {
		return nil, fmt.Errorf("wsconn: choosing a proxy for %s: %w", hostPort(u), err)
	}
	if proxy == nil {
		return d.dial(ctx, hostPort(u))
	}
	c, err := d.connectThrough(ctx, proxy, hostPort(u))
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Handshake performs the opening handshake of a WebSocket to rawURL on c, a
// connection to it (for wss, with TLS done). It owns c: an error closes it.
func (d *Dialer) Handshake(ctx context.Context, c net.Conn, rawURL string) (*Conn, error) {
	ctx, cancel := d.bound(ctx)
	defer cancel()
	conn, err := d.handshake(ctx, c, rawURL)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return conn, nil
}

func (d *Dialer) handshake(ctx context.Context, c net.Conn, rawURL string) (*Conn, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	req, key := d.request(u)
	var resp *http.Response
	var br *bufio.Reader
	err = within(ctx, c, func() (err error) {
		if err = req.Write(c); err != nil {
			return &HandshakeError{Target: rawURL, Reason: "sending the request", Err: err}
		}
		resp, br, err = readAnswer(c, d.maxHead(), req)
		if err != nil {
			return &HandshakeError{Target: rawURL, Reason: "reading the answer", Err: err}
		}
		if resp.StatusCode != http.StatusSwitchingProtocols {
			return statusError(c, resp, "GET", rawURL, "")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	subprotocol, reason := check101(resp, key, d.Subprotocols)
	if reason != "" {
		return nil, &HandshakeError{Target: rawURL, Reason: reason, Header: resp.Header}
	}
	return newConn(c, d.Config, true, subprotocol, buffered(br)), nil
}

// request makes the upgrade request (RFC 6455, Section 4.1) and its key.
func (d *Dialer) request(u *url.URL) (*http.Request, string) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	h := d.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", key)
	if len(d.Subprotocols) > 0 {
		h["Sec-WebSocket-Protocol"] = []string{joinTokens(d.Subprotocols)}
	}
	return &http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, key
}

// proxyFor returns the proxy to u, nil for none.
func (d *Dialer) proxyFor(u *url.URL) (*url.URL, error) {
	choose := d.Proxy
	if choose == nil {
		choose = http.ProxyFromEnvironment
	}
	target := *u
	switch u.Scheme {
	case "ws":
		target.Scheme = "http"
	case "wss":
		target.Scheme = "https"
	}
	return choose(&http.Request{Method: http.MethodGet, URL: &target, Host: u.Host, Header: http.Header{}})
}

func (d *Dialer) dial(ctx context.Context, addr string) (net.Conn, error) {
	if d.DialContext != nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	var nd net.Dialer
	return nd.DialContext(ctx, "tcp", addr)
}

func (d *Dialer) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := d.HandshakeTimeout
	setDefault(&timeout, defaultHandshakeTimeout)
	return context.WithTimeoutCause(ctx, timeout, errHandshakeTimeout)
}

func (d *Dialer) maxHead() int {
	n := d.MaxHead
	setDefault(&n, defaultMaxHead)
	return n
}

// errHandshakeTimeout is the cause when HandshakeTimeout passed.
var errHandshakeTimeout = fmt.Errorf("handshake timeout: %w", context.DeadlineExceeded)

// within runs f, which uses c, until ctx ends; then f fails at once and the
// error is ctx's cause. c has no deadline afterwards.
func within(ctx context.Context, c net.Conn, f func() error) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = c.SetDeadline(longAgo)
	})
	err := f()
	if !stop() {
		<-interrupted
		return fmt.Errorf("wsconn: %s: no answer in time: %w", c.RemoteAddr(), errors.Join(context.Cause(ctx), notTimeout(err)))
	}
	_ = c.SetDeadline(noDeadline)
	return err
}

// notTimeout drops the error that within itself provoked.
func notTimeout(err error) error {
	if err == nil || isTimeout(err) {
		return nil
	}
	return err
}

// secure does TLS with the host on c, offering http/1.1 alone.
func secure(ctx context.Context, c net.Conn, cfg *tls.Config, host string) (net.Conn, error) {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return t, nil
}

// parseURL parses a ws or wss URL.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("wsconn: %w", err)
	}
	if !slices.Contains([]string{"ws", "wss"}, u.Scheme) || u.Host == "" {
		return nil, fmt.Errorf("wsconn: %q is not a URL of the form ws://host/path or wss://host/path", rawURL)
	}
	return u, nil
}

// hostPort returns the address to dial for u.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "wss" || u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// buffered returns what br has read ahead.
func buffered(br *bufio.Reader) []byte {
	if br.Buffered() == 0 {
		return nil
	}
	b, _ := br.Peek(br.Buffered())
	return slices.Clone(b)
}
