package wsconn

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of what a proxy can make one dial do.
const (
	maxLegs      = 8               // CONNECTs
	maxAuthBody  = 256 << 10       // bytes of a 407's body read so that its connection can take the next CONNECT
	drainTimeout = 3 * time.Second // for that
)

// proxyFor returns the proxy to u, nil for none. Its errors quote no user info.
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
	proxy, err := choose(&http.Request{Method: http.MethodGet, URL: &target, Host: u.Host, Header: http.Header{}})
	switch {
	case err != nil:
		return nil, hideURL(err)
	case proxy == nil:
		return nil, nil
	}
	return proxy, checkProxy(proxy)
}

// connectThrough opens a byte stream to addr through a proxy. addr goes to the
// proxy as it is: a machine behind a proxy often cannot resolve names.
func (d *Dialer) connectThrough(ctx context.Context, proxy *url.URL, addr string) (net.Conn, error) {
	switch proxy.Scheme {
	case "http", "https":
		t := &tunnel{d: d, proxy: proxy, at: hostPort(proxy), addr: addr}
		c, err := t.open(ctx)
		if err != nil {
			t.hangUp()
			return nil, err
		}
		return c, nil
	case "socks5", "socks5h":
		return d.socks(ctx, proxy, addr)
	}
	return nil, fmt.Errorf("wsconn: proxy %s: scheme %q is not http, https, socks5 or socks5h", proxy.Host, proxy.Scheme)
}

// tunnel is the opening of one tunnel through an HTTP proxy (RFC 9110, Section
// 9.3.6).
type tunnel struct {
	d     *Dialer
	proxy *url.URL
	at    string // host:port of proxy
	addr  string // the other end

	c       net.Conn // to the proxy; nil if the next CONNECT needs a new one
	answers *answers // on c
}

// open sends CONNECTs, the first with the credentials of the proxy's URL, the
// others with what ProxyAuth returns, until one of them is accepted.
func (t *tunnel) open(ctx context.Context) (net.Conn, error) {
	fields, err := t.fields(ctx)
	if err != nil {
		return nil, err
	}
	header := merged(basic(t.proxy.User), fields)
	fields.Del("Proxy-Authorization")
	for leg := 1; ; leg++ {
		resp, body, err := t.ask(ctx, header)
		if err != nil {
			return nil, err
		}
		if accepted(resp) {
			return withEarly(t.c, buffered(t.answers.br)), nil
		}
		refusal := statusError(resp, http.MethodConnect, t.addr, t.at, body)
		if resp.StatusCode != http.StatusProxyAuthRequired || t.d.ProxyAuth == nil {
			return nil, refusal
		}
		refusal.negotiated = true
		if leg == maxLegs {
			return nil, fmt.Errorf("%w; gave up after %d CONNECTs", refusal, maxLegs)
		}
		resp.Body = io.NopCloser(strings.NewReader(body))
		auth, err := t.d.ProxyAuth(ctx, t.proxy, resp)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w; ProxyAuth: %w", refusal, hideUser(err, t.proxy.User))
		case auth == nil:
			return nil, refusal
		}
		header = merged(fields, auth)
	}
}

// fields asks ProxyHeader for the fields of each CONNECT.
func (t *tunnel) fields(ctx context.Context) (http.Header, error) {
	if t.d.ProxyHeader == nil {
		return http.Header{}, nil
	}
	h, err := t.d.ProxyHeader(ctx, t.proxy, t.addr)
	if err != nil {
		return nil, fmt.Errorf("wsconn: ProxyHeader for proxy %s: %w", t.at, hideUser(err, t.proxy.User))
	}
	return canonical(h), nil
}

// ask sends a CONNECT, on the connection of the last one if that was left open.
func (t *tunnel) ask(ctx context.Context, header http.Header) (*http.Response, string, error) {
	if t.c != nil {
		resp, body, err := t.exchange(ctx, header)
		if err == nil || ctx.Err() != nil {
			return resp, body, err
		}
		t.hangUp() // the proxy had closed it, without a word
	}
	if err := t.dial(ctx); err != nil {
		return nil, "", err
	}
	return t.exchange(ctx, header)
}

// dial opens a connection to the proxy.
func (t *tunnel) dial(ctx context.Context) error {
	c, err := t.d.dial(ctx, "tcp", t.at)
	if err != nil {
		return fmt.Errorf("wsconn: proxy %s: %w", t.at, err)
	}
	if t.proxy.Scheme == "https" {
		s, err := secure(ctx, c, t.d.ProxyTLS, serverName(t.proxy), t.at)
		if err != nil {
			err.Proxy = true
			return err
		}
		c = s
	}
	t.c, t.answers = c, newAnswers(c, t.d.maxHead())
	return nil
}

func (t *tunnel) hangUp() {
	if t.c != nil {
		_ = t.c.Close()
		t.c = nil
	}
}

// exchange sends a CONNECT on the connection and returns the answer, with the
// beginning of its body if it is a refusal. Afterwards the connection is the
// tunnel, or can take another CONNECT, or is nil.
func (t *tunnel) exchange(ctx context.Context, header http.Header) (resp *http.Response, body string, err error) {
	req := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: t.addr}, Host: t.addr, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	left := true
	err = within(ctx, t.c, "proxy "+t.at, func() (err error) {
		if err = req.Write(t.c); err == nil {
			resp, err = t.answers.next(req)
		}
		if err != nil {
			return fmt.Errorf("wsconn: CONNECT %s through proxy %s: %w", t.addr, t.at, err)
		}
		if c, ok := t.c.(*tls.Conn); ok {
			state := c.ConnectionState()
			resp.TLS = &state
		}
		if !accepted(resp) {
			body, left = t.refused(ctx, resp)
		}
		return nil
	})
	if !left {
		t.hangUp()
	}
	return resp, body, err
}

// refused returns the beginning of the body of resp, a refusal, and whether
// the connection can take another CONNECT: if one may follow, the body is read
// to its end, and the proxy does not close.
func (t *tunnel) refused(ctx context.Context, resp *http.Response) (body string, left bool) {
	if resp.StatusCode != http.StatusProxyAuthRequired || t.d.ProxyAuth == nil || !leftOpen(resp) {
		body, _ = excerpt(ctx, t.c, resp, excerptTimeout)
		return body, false
	}
	body, err := excerpt(ctx, t.c, resp, drainTimeout)
	if err != nil {
		return body, false
	}
	_, err = io.CopyN(io.Discard, resp.Body, maxAuthBody-int64(len(body))+1)
	return body, errors.Is(err, io.EOF)
}

// leftOpen reports whether the sender of resp means to go on with the
// connection. Proxies of HTTP/1.0 say so with Proxy-Connection.
func leftOpen(resp *http.Response) bool {
	switch h := resp.Header; {
	case hasToken(h, "Proxy-Connection", "close") || hasToken(h, "Connection", "close"):
		return false
	case !resp.Close:
		return true
	default:
		return !resp.ProtoAtLeast(1, 1) && resp.ContentLength >= 0 && hasToken(h, "Proxy-Connection", "keep-alive")
	}
}

// accepted reports whether resp, to a CONNECT, opens the tunnel.
func accepted(resp *http.Response) bool { return resp.StatusCode/100 == 2 }

// basic returns the headers that a proxy gets before it asks for any.
func basic(u *url.Userinfo) http.Header {
	h := http.Header{}
	if u != nil {
		password, _ := u.Password()
		h.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	return h
}

// earlyConn is a connection some bytes of which were read already.
type earlyConn struct {
	net.Conn

	early []byte
}

// withEarly returns a connection whose Read returns early first.
func withEarly(c net.Conn, early []byte) net.Conn {
	if len(early) == 0 {
		return c
	}
	return &earlyConn{Conn: c, early: early}
}

// Read returns the early bytes first. It is for one reader at a time, as
// crypto/tls and the decoder of Conn are.
func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}
