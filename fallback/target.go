package fallback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"culvert/internal/inner"
	"culvert/mux"
	"culvert/wsconn"
)

// Pauses before a tunnel is dialled again: a random time up to baseDelay,
// doubled with each failure, up to maxDelay ("full jitter"); and before that as
// long as the answer to the last upgrade asks for (Retry-After, RFC 9110, Section
// 10.2.3), up to maxRetryAfter.
const (
	baseDelay     = 500 * time.Millisecond
	maxDelay      = 10 * time.Second
	maxRetryAfter = 30 * time.Second
)

// headerFirstStream, with the value 1, tells the server that the first stream is
// open from the start (docs/PROTOCOL.md): its first frames come with the 101. A
// server that does not know it takes that stream like any other.
const headerFirstStream = "Culvert-First-Stream"

// target is one server, the choice of the way to it, and the tunnel that all
// ClientConns share.
type target struct {
	dialer *Dialer
	name   string // host:port
	key    key

	mu        sync.Mutex
	policy    policy
	way       Way // taken by the latest connection
	since     time.Time
	reason    string
	resolvers map[*resolving]struct{}
	probing   bool
	nextProbe time.Time
	current   *link
	dialling  *dial
	failures  int       // of the tunnel in a row, a lost one counting as one
	notBefore time.Time // when it may be dialled again, as its server asks
	closed    bool
}

func newTarget(d *Dialer, name string) *target {
	t := &target{dialer: d, name: name, resolvers: map[*resolving]struct{}{}, policy: policy{
		maxAttempts: d.MaxAttempts,
		recheck:     orDefault(d.Recheck, defaultRecheck),
	}}
	if t.policy.maxAttempts == 0 {
		t.policy.maxAttempts = defaultMaxAttempts
	}
	t.key = key{scheme: d.scheme("http"), authority: name, serverName: hostOf(name)}
	if d.TLS != nil && d.TLS.ServerName != "" {
		t.key.serverName = d.TLS.ServerName
	}
	if proxy, err := d.proxyTo(name); err == nil && proxy != nil {
		t.key.proxy = proxy.String()
	}
	return t
}

// dial is a tunnel being dialled, for all who wait for it.
type dial struct {
	cancel  context.CancelFunc
	done    chan struct{}
	begun   time.Time
	waiting int // calls of target.link
	link    *link
	err     error
}

// link returns the tunnel, dialling it if there is none, with a claim that is
// the caller's to use up: by open, pin or unclaim. There is one dial for all who
// ask at the same time, which ends when all of them have given up. established,
// if not nil, is a connection to the server on which the upgrade may be asked
// for; link owns it.
func (t *target) link(ctx context.Context, established net.Conn) (*link, error) {
	for {
		l, err := t.await(ctx, established)
		if err != nil || l.claim() {
			return l, err
		}
		established = nil
		t.mu.Lock()
		if t.current == l { // being closed, since nobody used it
			t.current = nil
		}
		t.mu.Unlock()
	}
}

// await returns the tunnel that there is, or is being dialled.
func (t *target) await(ctx context.Context, established net.Conn) (*link, error) {
	t.mu.Lock()
	if established != nil && (t.closed || t.current != nil || t.dialling != nil) {
		_ = established.Close()
	}
	if t.closed || t.current != nil {
		defer t.mu.Unlock()
		if t.closed {
			return nil, errClosed
		}
		return t.current, nil
	}
	d := t.dialling
	if d == nil {
		d = t.start(ctx, established)
	}
	d.waiting++
	t.mu.Unlock()

	select {
	case <-d.done:
		return d.link, d.err
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		if d.waiting--; d.waiting == 0 && t.dialling == d {
			t.dialling = nil
			d.cancel()
		}
		return nil, fmt.Errorf("fallback: tunnel to %s: %w", t.name, errors.Join(context.Cause(ctx), t.policy.tunnel))
	}
}

// start begins to dial; t.mu is held.
func (t *target) start(ctx context.Context, established net.Conn) *dial {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &dial{cancel: cancel, begun: time.Now(), done: make(chan struct{})}
	if !t.dialer.own() {
		cancel()
		d.err = errClosed
		close(d.done)
		return d
	}
	t.dialling = d
	pause := t.pause()
	if established != nil {
		pause = 0
	}
	go func() {
		defer t.dialer.owned.Done()
		defer cancel()
		if d.err = sleep(ctx, pause); d.err == nil {
			d.link, d.err = t.dialer.dialLink(ctx, t, established)
		}
		t.finish(d)
	}()
	return d
}

// finish records how a dial ended.
func (t *target) finish(d *dial) {
	t.mu.Lock()
	abandoned := t.dialling != d
	if !abandoned {
		t.dialling = nil
	}
	switch {
	case d.err != nil && abandoned:
	case d.err != nil:
		t.failures++
		t.notBefore = time.Now().Add(retryAfter(d.err))
		t.policy.tunnelFailed(d.err)
	case abandoned || t.closed:
		_ = d.link.session.Close()
		d.link, d.err = nil, errClosed
	default:
		t.current = d.link
	}
	t.mu.Unlock()
	close(d.done)
}

// pause returns how long to wait before the next dial; t.mu is held.
func (t *target) pause() time.Duration {
	if t.failures == 0 {
		return 0
	}
	limit := min(baseDelay<<min(t.failures-1, 10), maxDelay)
	return max(0, time.Until(t.notBefore)) + rand.N(limit)
}

// retryAfter returns how long the answer of which err tells asks to wait.
func retryAfter(err error) time.Duration {
	var refused *wsconn.StatusError
	if !errors.As(err, &refused) {
		return 0
	}
	after, _ := refused.RetryAfter()
	return min(after, maxRetryAfter)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drop stops the use of l for new streams, because of err. What runs on it
// goes on.
func (t *target) drop(l *link, err error) {
	t.mu.Lock()
	if t.current == l {
		t.current = nil
		t.failures++
		t.policy.tunnelFailed(err)
		if !l.isProven() && t.policy.verdict.way == Tunnel {
			t.policy.bothFailed()
			t.remember(time.Now())
		}
	}
	t.mu.Unlock()
	l.retire()
}

// proven notes that the tunnel l works.
func (t *target) proven(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == l || t.dialling != nil {
		t.failures = 0
		t.policy.tunnel = nil
	}
}

// close ends the tunnel and every dial in progress.
func (t *target) close() error {
	t.mu.Lock()
	t.closed = true
	l, d := t.current, t.dialling
	t.current = nil
	t.mu.Unlock()
	if d != nil {
		d.cancel()
		<-d.done
	}
	if l != nil {
		return l.session.Close()
	}
	return nil
}

// dialLink dials a WebSocket and makes it a tunnel.
func (d *Dialer) dialLink(ctx context.Context, t *target, established net.Conn) (*link, error) {
	header, err := d.header(ctx)
	if err != nil {
		if established != nil {
			_ = established.Close()
		}
		return nil, fmt.Errorf("fallback: header for the upgrade: %w", err)
	}
	wd := d.webSocketDialer()
	if wd.Header = header.Clone(); header == nil {
		wd.Header = http.Header{}
	}
	wd.Header.Set(headerFirstStream, "1")
	if d.InnerTLS != nil {
		wd.Header.Set(inner.Header, "1")
	}
	stream := d.askResume(t, wd)
	url := d.url(t.name)
	var ws *wsconn.Conn
	if established != nil {
		ws, err = wd.Handshake(ctx, established, url)
	} else {
		ws, err = wd.Dial(ctx, url)
	}
	d.Trace.upgraded(t.name, err)
	if err != nil {
		return nil, fmt.Errorf("fallback: tunnel to %s: %w", t.name, explainTLS(err))
	}
	l, err := d.newTunnel(ctx, t, ws, stream)
	if err != nil {
		return nil, fmt.Errorf("fallback: tunnel to %s: %w", t.name, err)
	}
	return l, nil
}

// newTunnel makes ws a tunnel.
func (d *Dialer) newTunnel(ctx context.Context, t *target, ws *wsconn.Conn, stream *stream) (*link, error) {
	var cfg mux.Config
	if d.Mux != nil {
		cfg = *d.Mux
	}
	cfg.FirstStream = true
	carrier, err := stream.over(ws)
	if err != nil {
		return nil, err
	}
	auth := authInfo(ws.NetConn())
	if d.InnerTLS != nil {
		c, err := d.innerTLS(ctx, t, ws, carrier)
		if err != nil {
			stream.giveUp(carrier)
			return nil, err
		}
		carrier, auth = c, authInfo(c.Conn)
	}
	s, err := mux.Client(carrier, &cfg)
	if err != nil {
		stream.giveUp(carrier)
		return nil, err
	}
	return newLink(t, s, auth, stream.conn), nil
}

// innerTLS does TLS inside the tunnel.
func (d *Dialer) innerTLS(ctx context.Context, t *target, ws *wsconn.Conn, c net.Conn) (*inner.Conn, error) {
	if ws.Header().Get(inner.Header) != "1" {
		return nil, errors.New("the server does not grant TLS inside the tunnel: its answer has no " + inner.Header +
			": set InnerTLS in its listener.Config, or find the hop that drops this field")
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(d.HandshakeTimeout, defaultHandshakeTimeout))
	defer cancel()
	return inner.Client(ctx, c, d.InnerTLS, hostOf(t.name))
}

// forget stops the use of l, which nobody uses.
func (t *target) forget(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == l {
		t.current = nil
		if t.way == Tunnel {
			t.way, t.reason = Undecided, "the tunnel was not used and closed"
		}
	}
}
