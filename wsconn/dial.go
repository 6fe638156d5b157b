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
	"time"
)

// Defaults of Dialer and Upgrader.
const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultMaxHead          = 64 << 10
)

// Dialer opens WebSockets. The zero value is ready to use. A Dialer may be
// used concurrently and must not be changed once it is in use.
type Dialer struct {
	// TLS configures wss. Its NextProtos are replaced by http/1.1 alone,
	// which also passes middleboxes that drop a ClientHello with h2 in it;
	// an empty ServerName becomes the URL's host. A ServerName is what is
	// sent (SNI) and verified, whatever the URL says. Nil means the
	// defaults.
	TLS *tls.Config

	// Addr is where to connect, as net.Dial takes it: host:port, where the
	// port may be a name, or with Network "unix" a path, or @ and a name for
	// an abstract socket. It says nothing of who the server is: Host, SNI,
	// the verified name and the choice of the proxy follow the URL. A proxy,
	// if there is one, is asked for the URL's host and port, not for Addr.
	// "" means the URL's host and port.
	Addr string

	// Network is that of Addr: "tcp", "tcp4", "tcp6" or "unix". Proxy is not
	// asked about a unix socket. "" means tcp.
	Network string

	// Proxy returns the proxy for a request, whose URL is that of the
	// WebSocket, with the scheme http for ws and https for wss, and the host
	// as a name if it is one; a nil URL means none. http:// and https:// proxies are asked
	// to CONNECT, for ws as well as wss. socks5:// and socks5h:// are the
	// same: each proxy resolves the name of the host itself. User and
	// password of the proxy's URL are sent to it: with the first CONNECT,
	// as Basic, or to a SOCKS5 proxy that asks for them; no error quotes
	// them. Nil means http.ProxyFromEnvironment, which takes HTTP_PROXY for
	// ws and HTTPS_PROXY for wss. A Proxy that calls that with the scheme
	// https takes HTTPS_PROXY for both, as grpc-go does.
	Proxy func(*http.Request) (*url.URL, error)

	// ProxyHeader returns fields for each CONNECT to an HTTP proxy, the
	// first one above all. It is called once in a dial, before a connection
	// to the proxy is opened; target is the host:port asked for. A
	// Proxy-Authorization in it replaces Basic from the proxy's URL, and
	// goes with the first CONNECT only. A field that ProxyAuth returns
	// replaces those of the same name. An error ends the dial. Calls for
	// different dials are concurrent. Nil means no fields.
	ProxyHeader func(ctx context.Context, proxy *url.URL, target string) (http.Header, error)

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

	// Header is added to the upgrade request, but for the fields that the
	// handshake and the framing need. A Host in it is sent as it is, instead
	// of the URL's; it changes neither SNI nor the verified name. Two of
	// them, or one that cannot be sent, end the dial with a
	// *HandshakeError. Without one, Host is that of the URL without the
	// default port, 80 for ws and 443 for wss, and without an IPv6 zone.
	Header http.Header

	// Prepare, if not nil, is called with the header of the upgrade request
	// just before it is sent, for what is not known earlier. A Host that it
	// sets is sent as one of Header is.
	Prepare func(h http.Header)

	// Configure, if not nil, is called with the header of a 101 and returns
	// what to use as Config. An error ends the dial with a *HandshakeError.
	Configure func(answer http.Header) (*Config, error)

	// Subprotocols are offered in this order. If there are any, an answer
	// that does not pick one of them is refused.
	Subprotocols []string

	// DialContext opens the connection: to the proxy, if there is one, by
	// tcp, else to Addr as it is. Nil means a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// HandshakeTimeout bounds all of Dial, or of Connect or Handshake,
	// beside its context. 0 means 10 s.
	HandshakeTimeout time.Duration

	// MaxHead bounds the head of each answer, in bytes. Before the final
	// answer come at most 5 interim ones (1xx), which are skipped.
	// 0 means 64 KiB: gateways add many KiB of fields about security.
	MaxHead int

	// Config is of the connections.
	Config *Config
}

// Dial opens a WebSocket to rawURL, whose scheme is ws or wss. ctx bounds the
// call, not the connection. Redirects are not followed. The error is a
// *StatusError if a proxy or the server refused, a *TLSError if TLS failed, a
// *HandshakeError if the answer was not one to a WebSocket handshake; it is the
// cause of ctx if that ended, and context.DeadlineExceeded if HandshakeTimeout
// passed.
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
		t, err := secure(ctx, c, d.TLS, serverName(u), hostPort(u))
		if err != nil {
			return nil, err
		}
		c = t
	}
	return d.Handshake(ctx, c, rawURL)
}

// Connect opens the byte stream to the host of u, or to Addr, where the scheme
// of u is ws, wss, http or https: TCP or a unix socket, and through a proxy a
// CONNECT, which any 2xx accepts, or SOCKS5. It does no TLS with the host itself.
// ctx bounds the call, not the connection, which is the caller's to close and
// has no deadline. A refusal of an HTTP proxy is a *StatusError; each error of a
// proxy names it.
//
// A caller that knows the server by another name than the place where it is, as
// with grpc.WithAuthority, gives Connect the place and Handshake the name.
func (d *Dialer) Connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	ctx, cancel := d.bound(ctx)
	defer cancel()
	network := cmp.Or(d.Network, "tcp")
	if network == "unix" {
		if d.Addr == "" {
			return nil, errUnixAddr
		}
		return d.dial(ctx, network, d.Addr)
	}
	named, err := elsewhere(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("wsconn: the port of %s: %w", u.Host, err)
	}
	proxy, err := d.proxyFor(named)
	if err != nil {
		return nil, fmt.Errorf("wsconn: choosing a proxy for %s: %w", hostPort(named), err)
	}
	if proxy == nil {
		return d.dial(ctx, network, cmp.Or(d.Addr, hostPort(u)))
	}
	return d.connectThrough(ctx, proxy, hostPort(named))
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
	target := shown(u)
	a := newAnswers(c, d.maxHead())
	var resp *http.Response
	err = within(ctx, c, target, func() (err error) {
		if d.Prepare != nil {
			d.Prepare(req.Header)
		}
		if reason := takeHost(req); reason != "" {
			return &HandshakeError{Target: target, Reason: reason}
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
	h := canonical(d.Header)
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", key)
	if len(d.Subprotocols) > 0 {
		h["Sec-WebSocket-Protocol"] = []string{joinTokens(d.Subprotocols)}
	}
	return &http.Request{
		Method: http.MethodGet, URL: u, Host: hostHeader(u), Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, key
}

func (d *Dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.DialContext != nil {
		return d.DialContext(ctx, network, addr)
	}
	var nd net.Dialer
	return nd.DialContext(ctx, network, addr)
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

// buffered returns what br has read ahead.
func buffered(br *bufio.Reader) []byte {
	if br.Buffered() == 0 {
		return nil
	}
	b, _ := br.Peek(br.Buffered())
	return slices.Clone(b)
}
