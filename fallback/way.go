package fallback

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// hopeAfter is how long after its last failure a tunnel may work again.
const hopeAfter = time.Minute

// WayError is returned when both ways to a server failed.
type WayError struct {
	Target string // host:port
	Native error  // why native gRPC failed, or has not answered; may be nil
	Tunnel error  // the same of the tunnel
	Err    error  // why the dial ended, if not for the others; may be nil
}

func (e *WayError) Error() string {
	text := "fallback: no way to " + e.Target
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	if e.Native != nil {
		text += fmt.Sprintf(": native gRPC: %v", e.Native)
	}
	if e.Tunnel != nil {
		text += fmt.Sprintf("; tunnel: %v", e.Tunnel)
	}
	return text
}

// Unwrap returns the causes.
func (e *WayError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Native, e.Tunnel, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// next says how a dial begins, after what other Dialers of the process found.
func (t *target) next() plan {
	now := time.Now()
	k := t.dialer.key(t.dest)
	t.mu.Lock()
	defer t.mu.Unlock()
	if k != t.key { // another proxy: it is another network
		t.key = k
		t.policy.verdict, t.policy.shut, t.policy.failures, t.policy.life = verdict{}, false, 0, 0
	}
	if v, ok := remembered.load(k, now); ok && v.since.After(t.policy.verdict.since) {
		t.policy.verdict = v
	}
	return t.policy.next(now)
}

// note keeps the sign of an attempt that goes on.
func (t *target) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.policy.native = err
}

// silent takes note of an attempt that was silent for waited when its dial
// ended, unless native has worked since begun.
func (t *target) silent(begun time.Time, waited time.Duration) {
	t.mu.Lock()
	works := t.living > 0 || t.lastNative.After(begun)
	t.mu.Unlock()
	if !works {
		t.nativeFailed(silence(waited))
	}
}

// alive reports whether RPCs are answered natively at the moment. What fails
// then is about one address of several.
func (t *target) alive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.living > 0
}

// nativeLives counts native connections on which gRPC was answered.
func (t *target) nativeLives(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.living += n
}

// hopeful reports whether there may be a tunnel: none is known to be refused.
func (t *target) hopeful() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.policy.tunnel == nil || len(t.links) > 0 || time.Since(t.failedAt) > hopeAfter
}

func (t *target) pace() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.policy.pace()
}

// nativeFailed tells the policy of a failure.
func (t *target) nativeFailed(err error) step {
	now := time.Now()
	t.mu.Lock()
	next := t.policy.nativeFailed(now, err)
	n := t.policy.failures
	warn := isMismatch(err) && !t.warned
	t.warned = t.warned || warn
	if next == yield {
		t.remember(now)
	}
	t.mu.Unlock()
	if warn {
		t.dialer.logger().Warn("fallback: one end speaks TLS and the other does not", "target", t.name, "err", err)
	}
	t.dialer.logger().Debug("fallback: native failed", "target", t.name, "failures", n, "err", err)
	t.dialer.Trace.nativeFailed(t.name, n, err)
	return next
}

// isMismatch reports whether err shows that one end speaks TLS and the other
// does not.
func isMismatch(err error) bool {
	var sign *signError
	return errors.As(err, &sign) && sign.mismatch
}

// nativeWorks tells the policy of a native connection that is used.
func (t *target) nativeWorks(reason string) {
	t.mu.Lock()
	t.lastNative = time.Now()
	t.policy.nativeWorks(t.lastNative, reason)
	t.remember(t.lastNative)
	moved := t.take(Direct, reason)
	t.mu.Unlock()
	moved()
}

// verified tells the policy of a proof that gRPC passes end to end.
func (t *target) verified(reason string) {
	now := time.Now()
	t.mu.Lock()
	t.lastNative, t.sign = now, nil
	t.policy.verified(now, reason)
	t.remember(now)
	moved := t.take(Direct, reason)
	t.mu.Unlock()
	moved()
}

// tunnelFailed tells the policy of a tunnel that could not be dialled.
func (t *target) tunnelFailed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failedAt = time.Now()
	t.policy.tunnelFailed(err)
}

// tunnelWorks tells the policy of a tunnel that is used.
func (t *target) tunnelWorks() {
	now := time.Now()
	t.mu.Lock()
	reason := "mode WebSocket"
	if err := t.policy.native; err != nil {
		reason = "native gRPC: " + err.Error()
	}
	t.policy.tunnelWorks(now, reason)
	t.remember(now)
	moved := t.take(Tunnel, reason)
	t.mu.Unlock()
	moved()
	t.startProbing()
}

// bothFailed tells the policy that neither way passes and returns the error
// that says so.
func (t *target) bothFailed() error {
	now := time.Now()
	t.mu.Lock()
	t.policy.bothFailed()
	t.remember(now)
	t.mu.Unlock()
	return t.wayError(nil)
}

// wayError names the latest failures of both ways.
func (t *target) wayError(cause error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &WayError{Target: t.name, Native: t.policy.native, Tunnel: t.policy.tunnel, Err: cause}
}

// remember shares the verdict with the process; t.mu is held.
func (t *target) remember(now time.Time) {
	if mode, err := t.dialer.mode(); err == nil && mode == Auto {
		remembered.store(t.key, t.policy.verdict, now)
	}
}

// take notes which way the latest connection went; t.mu is held. When that is
// another way than before, the function that it returns moves the ClientConns:
// new RPCs go the new way, and those that run finish where they are.
func (t *target) take(way Way, reason string) (moved func()) {
	before := t.way
	t.reason = reason
	if before == way {
		return func() {}
	}
	t.way, t.since = way, time.Now()
	var resolvers []*resolving
	for r := range t.resolvers {
		resolvers = append(resolvers, r)
	}
	return func() {
		t.dialer.logger().Info("fallback: way chosen", "target", t.name, "way", way, "before", before, "reason", reason)
		t.dialer.Trace.wayChanged(t.name, before, way, reason)
		for _, r := range resolvers {
			r.move(way, before != Undecided)
		}
	}
}

// onSign hears what showed after a native connection was handed out: of the
// verification, or of an RPC.
func (t *target) onSign(err error) {
	t.mu.Lock()
	t.sign = err
	t.mu.Unlock()
	if classify(err) == never || t.bound() {
		return
	}
	t.nativeFailed(err)
	t.dialer.spawn(t.review)
}

// bound reports whether the way was not t's to choose.
func (t *target) bound() bool {
	mode, err := t.dialer.mode()
	return err != nil || mode != Auto
}

// review finds out the way without a connection of grpc's, unless somebody is
// finding it out.
func (t *target) review() {
	t.mu.Lock()
	k := t.key
	t.mu.Unlock()
	f, first := remembered.enter(flightKey{k, t.dest.addr})
	if !first {
		return
	}
	defer remembered.leave(flightKey{k, t.dest.addr}, f, nil)
	p := t.next()
	if p.tunnel && !p.verify {
		return // it is the way already
	}
	p.verify = true
	if c, err := t.race(context.Background(), t.dest.addr, false, p); err == nil {
		_ = c.Close()
	}
}

// bind returns a context that also ends with the Dialer.
func (t *target) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.dialer.life, func() { cancel(errClosed) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}
