package fallback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"culvert/internal/maxframe"
	"culvert/wsconn"
)

// Pauses before a tunnel is dialled again: a random time up to baseDelay,
// doubled with each failure, up to maxDelay ("full jitter"); and before that as
// long as the answer to the last upgrade asks for (Retry-After, RFC 9110, Section
// 10.2.3), up to maxRetryAfter. After a tunnel that was opened and lost before
// usefulAge it is no less than half of that: so no more than 10 are opened in
// 30 s.
const (
	usefulAge     = 10 * time.Second
	baseDelay     = 500 * time.Millisecond
	maxDelay      = 10 * time.Second
	maxRetryAfter = 30 * time.Second
)

// headerFirstStream, with the value 1, tells the server that the first stream is
// open from the start (docs/PROTOCOL.md): its first frames come with the 101. A
// server that does not know it takes that stream like any other.
const headerFirstStream = "Culvert-First-Stream"

// target is one destination, the choice of the way to it, and the tunnels that
// all ClientConns share.
type target struct {
	dialer *Dialer
	dest   destination
	name   string // of dest, in errors and to Trace
	frames maxframe.Limit

	mu          sync.Mutex
	key         key // of the network that the proxy chosen last leads to
	policy      policy
	way         Way // taken by the latest connection
	since       time.Time
	reason      string
	sign        error     // what an RPC showed of native last; nil once gRPC was answered
	living      int       // native connections on which gRPC was answered
	lastNative  time.Time // when native worked last
	smallHello  time.Time // until when ClientHellos are small
	nextSmaller time.Time // when one may be repeated smaller
	resolvers   map[*resolving]struct{}
	probing     bool
	warned      bool // of TLS at one end alone
	nextProbe   time.Time
	links       []*link // that take streams
	dialling    *dial
	failures    int       // to open a tunnel, in a row
	short       int       // tunnels in a row that were lost before they were of use
	failedAt    time.Time // when the tunnel failed last
	notBefore   time.Time // when it may be dialled again, as its server asks
	closed      bool

	users     int       // what keeps it; guarded by dialer.mu
	idleSince time.Time // when the last one left; guarded by dialer.mu
}

func newTarget(d *Dialer, dest destination) *target {
	t := &target{dialer: d, dest: dest, name: dest.String(), resolvers: map[*resolving]struct{}{}, policy: policy{
		maxAttempts: d.MaxAttempts,
		recheck:     orDefault(d.Recheck, defaultRecheck),
	}}
	if t.policy.maxAttempts == 0 {
		t.policy.maxAttempts = defaultMaxAttempts
	}
	t.key = d.key(dest)
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
		established = nil // l is full by now, or being closed since nobody used it
	}
}

// await returns the tunnel that has room and fewest streams, or the one that is
// being dialled.
func (t *target) await(ctx context.Context, established net.Conn) (*link, error) {
	t.mu.Lock()
	l := t.roomiest()
	if established != nil && (t.closed || l != nil || t.dialling != nil) {
		_ = established.Close()
	}
	if t.closed || l != nil {
		defer t.mu.Unlock()
		if t.closed {
			return nil, errClosed
		}
		return l, nil
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

// roomiest returns the tunnel that has room and fewest streams, nil if there is
// none; t.mu is held.
func (t *target) roomiest() (best *link) {
	least := 0
	for _, l := range t.links {
		if n, room := l.load(); room && (best == nil || n < least) {
			best, least = l, n
		}
	}
	return best
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
		t.failedAt = time.Now()
		t.notBefore = t.failedAt.Add(retryAfter(d.err))
		t.policy.tunnelFailed(d.err)
	case abandoned || t.closed:
		_ = d.link.session.Close()
		d.link, d.err = nil, errClosed
	default:
		t.links = append(t.links, d.link)
	}
	t.mu.Unlock()
	close(d.done)
}

// pause returns how long to wait before the next dial; t.mu is held.
func (t *target) pause() time.Duration {
	wait := max(0, time.Until(t.notBefore))
	if t.failures > 0 {
		wait += rand.N(min(baseDelay<<min(t.failures-1, 10), maxDelay))
	}
	if t.short > 0 {
		limit := min(baseDelay<<min(t.short-1, 10), maxDelay)
		wait += max(0, limit/2+rand.N(limit/2)-time.Since(t.failedAt))
	}
	return wait
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

// without removes l from the tunnels that take streams, and reports whether it
// was among them; t.mu is held.
func (t *target) without(l *link) bool {
	i := slices.Index(t.links, l)
	if i < 0 {
		return false
	}
	t.links = slices.Delete(t.links, i, i+1)
	return true
}

// drop stops the use of l for new streams, because of err. What runs on it
// goes on.
func (t *target) drop(l *link, err error) {
	t.mu.Lock()
	if t.without(l) {
		if t.failedAt = time.Now(); t.failedAt.Sub(l.born) >= usefulAge {
			t.short = 0
		}
		t.short++
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
	if slices.Contains(t.links, l) || t.dialling != nil {
		t.failures = 0
		t.policy.tunnel = nil
	}
}

// close ends the tunnel and every dial in progress.
func (t *target) close() error {
	t.mu.Lock()
	t.closed = true
	links, d := t.links, t.dialling
	t.links = nil
	t.mu.Unlock()
	if d != nil {
		d.cancel()
		<-d.done
	}
	var errs []error
	for _, l := range links {
		errs = append(errs, l.session.Close())
	}
	return errors.Join(errs...)
}

// forget stops the use of l, which nobody uses.
func (t *target) forget(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.without(l) {
		if t.way == Tunnel && len(t.links) == 0 {
			t.way, t.reason = Undecided, "the tunnel was not used and closed"
		}
	}
}
