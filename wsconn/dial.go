package wsconn

import (
	"bufio"
	"cmp"
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
	"strings"
	"time"

	"culvert/internal/cork"
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
	// or https; a nil URL means none. http:// and https:// proxies are asked
	// to CONNECT, for ws as well as wss. socks5:// and socks5h:// are the
	// same: each proxy resolves the name of the host itself. User and
	// password of the proxy's URL are sent to it: with the first CONNECT,
	// as Basic, or to a SOCKS5 proxy that asks for them.
	// Nil means http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)

	// ProxyAuth gets each 407 of an HTTP proxy and returns the headers,
	// Proxy-Authorization above all, of the next CONNECT, which goes out on
	// the same connection, so that schemes of several legs (Negotiate,
	// NTLM) can be done. The next CONNECT takes a new connection if the
	// proxy closed that one, or its body exceeds 256 KiB or does not end in
	// 3 s. The answer's Body holds its first KiB; its TLS is set if proxy
	// is https. ctx ends with the dial. At most 8 CONNECTs are sent in a
	// dial. An error or a nil header ends it with the *StatusError of the
	// 407, joined with the error. Calls for different dials are concurrent.
	// Nil means Basic from the proxy's URL alone.
	ProxyAuth func(ctx context.Context, proxy *url.URL, answer *http.Response) (http.Header, error)

	// ProxyTLS configures the connection to an https:// proxy, as TLS does
	// that to the host. Nil means the defaults.
	ProxyTLS *tls.Config

	// Header is added to the upgrade request.
	Header http.Header

	// Prepare, if not nil, is called with the header of the upgrade request
	// just before it is sent, for what is not known earlier.
	Prepare func(h http.Header)

	// Configure, if not nil, is called with the header of a 101 and returns
	// what to use as Config. An error ends the dial with a *HandshakeError.
	Configure func(answer http.Header) (*Config, error)

	// Subprotocols are offered in this order. If there are any, an answer
	// that does not pick one of them is refused.
	Subprotocols []string

	// DialContext opens the TCP connection, to the proxy if there is one.
	// Nil means a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// HandshakeTimeout bounds all of Dial, or of Connect or Handshake,
	// beside its context. 0 means 10 s.
	HandshakeTimeout time.Duration

	// MaxHead bounds the head of each answer, in bytes. Before the final
	// answer come at most 5 interim ones (1xx), which are skipped.
	// 0 means 16 KiB.
	MaxHead int

	// Config is of the connections.
	Config *Config
}

// Dial opens a WebSocket to rawURL, whose scheme is ws or wss. ctx bounds the
// call, not the connection. Redirects are not followed. The error is a
// *StatusError if a proxy or the server refused, a *HandshakeError if the
// answer was not one to a WebSocket handshake; it is the cause of ctx if that
// ended, and context.DeadlineExceeded if HandshakeTimeout passed.
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
// http or https: TCP, and through a proxy a CONNECT, which any 2xx accepts, or
// SOCKS5. It does no TLS with the host itself. ctx bounds the call, not the
// connection, which is the caller's to close and has no deadline. A refusal
// of an HTTP proxy is a *StatusError; each error of a proxy names it.
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
	return d.connectThrough(ctx, proxy, hostPort(u))
}

// Handshake performs the opening handshake of a WebSocket to rawURL on c, a
// connection to it (for wss, with TLS done). It owns c: an error closes it.
// ctx bounds the call; the errors are those of Dial.
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
	target := u.Redacted()
	a := newAnswers(c, d.maxHead())
	var resp *http.Response
	err = within(ctx, c, target, func() (err error) {
		if d.Prepare != nil {
			d.Prepare(req.Header)
		}
		if err = req.Write(c); err != nil {
			return &HandshakeError{Target: target, Reason: "sending the request", Err: err}
		}
		if resp, err = a.next(req); err != nil {
			return &HandshakeError{Target: target, Reason: "reading the answer", Err: err}
		}
		if resp.StatusCode != http.StatusSwitchingProtocols {
			body, _ := excerpt(ctx, c, resp, excerptTimeout)
			return statusError(resp, http.MethodGet, target, "", body)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	subprotocol, reason := check101(resp, key, d.Subprotocols)
	if reason != "" {
		return nil, &HandshakeError{Target: target, Reason: reason, Header: resp.Header}
	}
	cfg := d.Config
	if d.Configure != nil {
		if cfg, err = d.Configure(resp.Header); err != nil {
			return nil, &HandshakeError{Target: target, Reason: "the 101", Header: resp.Header, Err: err}
		}
	}
	conn := newConn(c, cfg, true, subprotocol, buffered(a.br))
	conn.header = resp.Header
	return conn, nil
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
	timeout := cmp.Or(d.HandshakeTimeout, defaultHandshakeTimeout)
	return context.WithTimeoutCause(ctx, timeout, errHandshakeTimeout)
}

func (d *Dialer) maxHead() int { return cmp.Or(d.MaxHead, defaultMaxHead) }

// errHandshakeTimeout is the cause when HandshakeTimeout passed.
var errHandshakeTimeout = fmt.Errorf("handshake timeout: %w", context.DeadlineExceeded)

// within runs f, which talks on c to who, until ctx ends; then f fails at once
// and the error is ctx's cause. c has no deadline afterwards.
func within(ctx context.Context, c net.Conn, who string, f func() error) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = c.SetDeadline(longAgo)
	})
	err := f()
	if !stop() {
		<-interrupted
		return fmt.Errorf("wsconn: %s: no answer in time: %w", who, errors.Join(context.Cause(ctx), notTimeout(err)))
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
	t := tls.Client(cork.New(c), cfg)
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
	if strings.ContainsFunc(u.RawQuery, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fmt.Errorf("wsconn: the query of %q is not escaped", rawURL)
	}
	return u, nil
}

// hostPort returns the address to dial for u.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		switch u.Scheme {
		case "wss", "https":
			port = "443"
		case "socks5", "socks5h":
			port = "1080"
		default:
			port = "80"
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
