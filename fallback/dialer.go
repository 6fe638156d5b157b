// Package fallback is the client's side: a dialer for grpc.NewClient that
// reaches a server natively, over HTTP/2, or through a tunnel, a WebSocket
// over HTTP/1.1 that carries gRPC's own frames.
package fallback

import (
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
	// An empty ServerName becomes the target's host. Nil means the
	// defaults.
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

	// Path of the upgrade request. "" means "/culvert".
	Path string

	// Header returns credentials and other headers for the upgrade request.
	// It is called for each WebSocket that is dialled, with a context that
	// ends after HandshakeTimeout. Nil means none.
	Header func(context.Context) (http.Header, error)

	// Proxy returns the proxy to a target, nil for none: http, https,
	// socks5 or socks5h. Names go to it unresolved. Nil means
	// http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)

	// ProxyTLS configures the connection to an https:// proxy. Nil means
	// the defaults.
	ProxyTLS *tls.Config

	// ProxyAuth answers a proxy's 407, on the same connection, with the
	// headers for the next CONNECT; see wsconn.Dialer. Nil means Basic with
	// the user and password of the proxy's URL.
	ProxyAuth func(ctx context.Context, proxy *url.URL, answer *http.Response) (http.Header, error)

	// NetDial opens TCP connections, those to proxies too. Nil means a
	// net.Dialer.
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

	mu      sync.Mutex
	closed  bool
	targets map[string]*target
	life    context.Context //nolint:containedctx // ends with Close
	end     context.CancelCauseFunc
	owned   sync.WaitGroup
}

// errClosed is returned once Close was called.
var errClosed = fmt.Errorf("fallback: the Dialer is closed: %w", net.ErrClosed)

// DialContext returns a connection to addr, a host:port, for gRPC to speak
// HTTP/2 on: a native one, on which TLS is done, or a stream of the tunnel.
// ctx bounds the dial alone. It fits grpc.WithContextDialer, but needs the
// other DialOptions beside it.
func (d *Dialer) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	name, others := targetName(ctx, addr)
	mode, err := d.mode()
	if err != nil {
		return nil, err
	}
	switch mode {
	case Native:
		return d.dialNative(ctx, name, addr)
	case WebSocket:
		return d.dialTunnel(ctx, name)
	default:
		return d.dialAuto(ctx, name, addr, others)
	}
}

// dialAuto goes the way that is known to pass, or finds out which does: one
// dial of the process at a time.
func (d *Dialer) dialAuto(ctx context.Context, name, addr string, others bool) (net.Conn, error) {
	t, err := d.target(name)
	if err != nil {
		return nil, err
	}
	for {
		if p := t.next(); !p.verify {
			return t.race(ctx, addr, others, p)
		}
		f, first := remembered.enter(t.key, flight{dialer: d, addr: addr})
		if first {
			c, err := t.race(ctx, addr, others, t.next())
			if ctx.Err() != nil {
				remembered.leave(t.key, f, nil) // it says nothing to others
			} else {
				remembered.leave(t.key, f, err)
			}
			return c, err
		}
		select {
		case <-f.done:
			if f.err != nil && f.dialer == d && f.addr == addr {
				return nil, f.err
			}
		case <-ctx.Done():
			return nil, t.wayError(context.Cause(ctx))
		}
	}
}

// dialTunnel opens a stream of the tunnel to name, and a new tunnel when the
// one that there is takes no more streams.
func (d *Dialer) dialTunnel(ctx context.Context, name string) (net.Conn, error) {
	t, err := d.target(name)
	if err != nil {
		return nil, err
	}
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
			return nil, fmt.Errorf("fallback: tunnel to %s: %w", name, err)
		}
		t.drop(l, err)
	}
}

// Session returns the tunnel to addr, for serving gRPC back over it: the
// server opens streams that the Session accepts. The tunnel is shared with the
// ClientConns of this Dialer; it stays until the Session or the Dialer is
// closed.
func (d *Dialer) Session(ctx context.Context, addr string) (*mux.Session, error) {
	name, _ := targetName(ctx, addr)
	t, err := d.target(name)
	if err != nil {
		return nil, err
	}
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

// target returns the state of one host:port.
func (d *Dialer) target(name string) (*target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	t := d.targets[name]
	if t == nil {
		if d.targets == nil {
			d.targets = map[string]*target{}
			d.life, d.end = context.WithCancelCause(context.Background())
		}
		t = newTarget(d, name)
		d.targets[name] = t
	}
	return t, nil
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
func orDefault(v, fallback time.Duration) time.Duration {
	if v == 0 {
		return fallback
	}
	return v
}
