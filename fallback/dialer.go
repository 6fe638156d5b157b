// Package fallback is the client's side: a dialer for grpc.NewClient that
// reaches a server natively, over HTTP/2, or through a tunnel, a WebSocket
// over HTTP/1.1 that carries gRPC's own frames.
package fallback

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"culvert/mux"
	"culvert/resume"
	"culvert/wsconn"
)

// Mode says which way a Dialer goes.
type Mode int

// The ways. The environment variable CULVERT_MODE, set to auto, native or
// websocket, overrides Dialer.Mode.
const (
	Auto      Mode = iota // native where HTTP/2 passes, else the tunnel
	Native                // native alone
	WebSocket             // the tunnel alone
)

// Defaults of Dialer.
const (
	defaultPath             = "/culvert"
	defaultHandshakeTimeout = 10 * time.Second
	defaultFirstByteTimeout = 5 * time.Second
	defaultIdleTimeout      = 5 * time.Minute
	defaultMaxHead          = 64 << 10
	subprotocol             = "culvert.v1"
)

// Dialer connects gRPC clients. The zero value is ready to use: TLS with the
// system's roots, mode Auto. A Dialer may be used concurrently, by any number
// of ClientConns, which share one tunnel per target; its fields must not be
// changed once it is in use, and it must not be copied.
type Dialer struct {
	// Mode is the way. The zero value is Auto.
	Mode Mode

	// TLS configures the outer TLS of both ways; NextProtos is replaced.
	// If ServerName is empty, the host of the channel's authority is
	// verified, as grpc's own credentials do: of grpc.WithAuthority, of the
	// ServerName of the address, or of the target. Nil means the defaults.
	TLS *tls.Config

	// Insecure makes both ways cleartext: h2c and ws://.
	Insecure bool

	// InnerTLS, if not nil, is for TLS inside the tunnel, to a server that has
	// listener.Config.InnerTLS: the server's certificate is checked by it
	// whatever a proxy that opens the outer TLS, which is checked by TLS, has
	// put in its place. An empty ServerName becomes the target's host,
	// NextProtos is replaced, and TLS 1.3 is the least. A server or a proxy
	// that does not grant it is refused. Native gRPC would be open to such a
	// proxy, so Auto is WebSocket then, and Native an error.
	InnerTLS *tls.Config

	// Path of the upgrade request, with or without its first slash. "" means
	// "/culvert".
	Path string

	// Header returns credentials and other headers for the upgrade request. A
	// Host in it takes the place of the authority there.
	// It is called for each WebSocket that is dialled, with a context that
	// ends after HandshakeTimeout. Nil means none.
	Header func(context.Context) (http.Header, error)

	// Proxy returns the proxy to a target, nil for none: http, https,
	// socks5 or socks5h. It is asked anew for each connection, about the
	// target's name and never about an address that was looked up, which
	// goes to the proxy unresolved. As in grpc-go the request's URL has the
	// scheme https, also if Insecure is set. Nil means
	// http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)

	// ProxyTLS configures the connection to an https:// proxy. Nil means
	// the defaults.
	ProxyTLS *tls.Config

	// ProxyHeader returns fields for each CONNECT to an HTTP proxy, before it
	// has answered anything; see wsconn.Dialer. Nil means none.
	ProxyHeader func(ctx context.Context, proxy *url.URL, target string) (http.Header, error)

	// ProxyAuth answers a proxy's 407, on the same connection, with the
	// headers for the next CONNECT; see wsconn.Dialer. Nil means Basic with
	// the user and password of the proxy's URL.
	ProxyAuth func(ctx context.Context, proxy *url.URL, answer *http.Response) (http.Header, error)

	// NetDial opens connections to TCP addresses, those of proxies too, and
	// to unix sockets (network "unix"). Nil means a net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)

	// MaxAttempts is how many ambiguous failures of native gRPC in a row,
	// which may also be 30 s of them, come before native is given up for the
	// tunnel. 0 means 10. Only Auto uses it.
	MaxAttempts int

	// HedgeDelay is how far behind native the tunnel is started, after the
	// first ambiguous failure, so that nobody waits for MaxAttempts. A native
	// connection that comes within 300 ms of the tunnel is preferred. 0
	// means 500 ms; a negative value is strict: no tunnel before
	// MaxAttempts.
	HedgeDelay time.Duration

	// Recheck is how long after the choice of the tunnel native has been
	// probed again. It doubles with each cycle of probes that fails, up to
	// 6 h. It is also how long native is relied on without being verified
	// anew by the next dial. 0 means 10 min.
	Recheck time.Duration

	// ProbeIdle is how long a probe's connection stays idle before it has to
	// work again. 0 means 61 s, which finds hops that cut after a minute.
	ProbeIdle time.Duration

	// Trace has hooks for the steps of dials. Nil means none.
	Trace *Trace

	// MaxHead bounds the head of the answer to an upgrade request or a CONNECT,
	// in bytes. 0 means 64 KiB.
	MaxHead int

	// HandshakeTimeout bounds one dial: TCP, CONNECT, TLS and upgrade. 0
	// means 10 s.
	HandshakeTimeout time.Duration

	// FirstByteTimeout bounds how long after the upgrade the server's first
	// frame may take: there are proxies that relay a 101 and then nothing.
	// 0 means 5 s.
	FirstByteTimeout time.Duration

	// IdleTimeout is how long a tunnel without streams is kept. 0 means
	// 5 min; a negative value keeps it until Close.
	IdleTimeout time.Duration

	// DisableResume makes a tunnel end with its WebSocket. Otherwise one to a
	// server that can do it outlives being cut: another WebSocket is dialled,
	// and no RPC notices more than a pause, for as long as resume.Config says.
	DisableResume bool

	// Resume configures tunnels that outlive their WebSocket, and has hooks
	// that tell of it. Its PingInterval and SilenceTimeout, if zero, are
	// WebSocket's. Nil means the defaults.
	Resume *resume.Config

	// WebSocket and Mux configure the layers of the tunnel.
	WebSocket *wsconn.Config
	Mux       *mux.Config

	// Logger tells of tunnels that come and go. Nil means silence.
	Logger *slog.Logger

	numbered sync.Once
	number   uint64 // for key

	mu      sync.Mutex
	closed  bool
	targets map[destination]*target
	life    context.Context //nolint:containedctx // ends with Close
	end     context.CancelCauseFunc
	owned   sync.WaitGroup
}

// errClosed is returned once Close was called.
var errClosed = fmt.Errorf("fallback: the Dialer is closed: %w", net.ErrClosed)

// DialContext returns a connection to addr for gRPC, or any other client of
// HTTP/2, to speak HTTP/2 on: a native one, on which TLS is done, or a stream of
// a tunnel. addr is a host:port, or a unix socket: unix:path, unix:///path or
// unix-abstract:name. ctx bounds the dial alone. With grpc use DialOptions.
func (d *Dialer) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	dest := destinationOf(addr)
	c, err := d.dial(ctx, dest, dest.addr, false)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dial connects to dest; addr is the address of it that native takes, and others
// says that grpc has more of them.
func (d *Dialer) dial(ctx context.Context, dest destination, addr string, others bool) (*conn, error) {
	mode, err := d.mode()
	if err != nil {
		return nil, err
	}
	t, err := d.target(dest)
	if err != nil {
		return nil, err
	}
	defer t.leave()
	switch mode {
	case Native:
		return t.dialNative(ctx, addr)
	case WebSocket:
		return t.dialTunnel(ctx)
	default:
		return t.dialAuto(ctx, addr, others)
	}
}

// dialAuto goes the way that is known to pass, or finds out which does: one
// dial to each address at a time.
func (t *target) dialAuto(ctx context.Context, addr string, others bool) (*conn, error) {
	for {
		p := t.next()
		if !p.verify {
			return t.race(ctx, addr, others, p)
		}
		t.mu.Lock()
		k := flightKey{t.key, addr}
		t.mu.Unlock()
		f, first := remembered.enter(k)
		if first {
			c, err := t.race(ctx, addr, others, t.next())
			if ctx.Err() != nil {
				remembered.leave(k, f, nil) // it says nothing to others
			} else {
				remembered.leave(k, f, err)
			}
			return c, err
		}
		select {
		case <-f.done:
			if f.err != nil {
				return nil, f.err
			}
		case <-ctx.Done():
			return nil, t.wayError(context.Cause(ctx))
		}
	}
}

// dialTunnel opens a stream of a tunnel, and a new tunnel when those that there
// are take no more streams.
func (t *target) dialTunnel(ctx context.Context) (*conn, error) {
	for {
		l, err := t.link(ctx, nil)
		if err != nil {
			return nil, err
		}
		c, err := l.open(ctx)
		if err == nil {
			t.tunnelWorks()
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("fallback: tunnel to %s: %w", t.name, err)
		}
		t.drop(l, err)
	}
}

// Session returns the tunnel to addr, for serving gRPC back over it: the
// server opens streams that the Session accepts. The tunnel is shared with the
// ClientConns of this Dialer; it stays until the Session or the Dialer is
// closed. addr takes the forms that DialContext takes.
func (d *Dialer) Session(ctx context.Context, addr string) (*mux.Session, error) {
	t, err := d.target(destinationOf(addr))
	if err != nil {
		return nil, err
	}
	defer t.leave()
	l, err := t.link(ctx, nil)
	if err != nil {
		return nil, err
	}
	l.pin()
	l.release()
	return l.session, nil
}

// Close closes the tunnels and waits for them. Native connections belong to
// the ClientConns that dialled them. Later dials return net.ErrClosed.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	targets := d.targets
	d.targets = nil
	if d.end != nil {
		d.end(errClosed)
	}
	d.mu.Unlock()
	var errs []error
	for _, t := range targets {
		errs = append(errs, t.close())
	}
	d.owned.Wait()
	return errors.Join(errs...)
}

// own registers a goroutine that Close waits for.
func (d *Dialer) own() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.owned.Add(1)
	return true
}

// spawn runs f in a goroutine that Close waits for, unless the Dialer is
// closed.
func (d *Dialer) spawn(f func()) {
	if d.own() {
		go func() {
			defer d.owned.Done()
			f()
		}()
	}
}

// logger returns where to log.
func (d *Dialer) logger() *slog.Logger {
	if d.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Logger
}

// orDefault returns v, or fallback if v is zero.
func orDefault[T int | time.Duration](v, fallback T) T { return cmp.Or(v, fallback) }
