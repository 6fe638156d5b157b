package wsconn

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// connectThrough asks an HTTP proxy for a tunnel to addr (RFC 9110, Section
// 9.3.6). addr goes to the proxy as it is: a machine behind a proxy often
// cannot resolve names.
func (d *Dialer) connectThrough(ctx context.Context, proxy *url.URL, addr string) (net.Conn, error) {
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fmt.Errorf("wsconn: proxy %s: scheme %q is not http or https", proxy.Redacted(), proxy.Scheme)
	}
	proxyAddr := hostPort(proxy)
	c, err := d.dial(ctx, proxyAddr)
	if err != nil {
		return nil, fmt.Errorf("wsconn: proxy %s: %w", proxyAddr, err)
	}
	if proxy.Scheme == "https" {
		if c, err = secure(ctx, c, d.ProxyTLS, proxy.Hostname()); err != nil {
			return nil, fmt.Errorf("wsconn: TLS with proxy %s: %w", proxyAddr, err)
		}
	}
	var early []byte
	err = within(ctx, c, func() (err error) {
		early, err = d.connect(c, proxy, addr)
		return err
	})
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	if early != nil {
		return &earlyConn{Conn: c, early: early}, nil
	}
	return c, nil
}

// connect performs the CONNECT on c and returns what came after the answer.
func (d *Dialer) connect(c net.Conn, proxy *url.URL, addr string) ([]byte, error) {
	req := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization",
			"Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	proxyAddr := hostPort(proxy)
	if err := req.Write(c); err != nil {
		return nil, fmt.Errorf("wsconn: CONNECT %s through proxy %s: %w", addr, proxyAddr, err)
	}
	var resp *http.Response
	var br *bufio.Reader
	resp, br, err := readAnswer(c, d.maxHead(), req)
	if err != nil {
		return nil, fmt.Errorf("wsconn: CONNECT %s through proxy %s: %w", addr, proxyAddr, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(c, resp, "CONNECT", addr, proxyAddr)
	}
	return buffered(br), nil
}

// earlyConn is a connection some bytes of which were read already.
type earlyConn struct {
	net.Conn

	early []byte
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
