package fallback

import (
	"context"
	"fmt"
	"time"
)

const (
	defaultProbeIdle = 61 * time.Second
	probeTimeout     = 10 * time.Second // of one probe
	probesWanted     = 3                // good ones in a row
)

// startProbing looks for a way back to native as long as the tunnel is used.
func (t *target) startProbing() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.probing || t.bound() {
		return
	}
	t.probing = true
	t.schedule()
	t.dialer.spawn(t.keepProbing)
}

// schedule sets the time of the next cycle, so that it ends with the verdict;
// t.mu is held.
func (t *target) schedule() {
	cycle := orDefault(t.dialer.ProbeIdle, defaultProbeIdle) + probeTimeout
	if t.policy.weak() {
		cycle = 0
	}
	left := t.policy.recheck
	if t.policy.verdict.way == Tunnel { // another dial may have dropped it
		left = max(0, time.Until(t.policy.verdict.until))
	}
	t.nextProbe = time.Now().Add(max(left-cycle, left/2))
}

// keepProbing runs a cycle of probes whenever one is due.
func (t *target) keepProbing() {
	for {
		t.mu.Lock()
		due := t.nextProbe
		t.mu.Unlock()
		if sleep(t.dialer.life, time.Until(due)) != nil || t.unused() {
			return
		}
		err := t.probeCycle(t.dialer.life)
		if t.dialer.life.Err() != nil {
			return
		}
		if err == nil {
			t.mu.Lock()
			t.probing = false
			t.mu.Unlock()
			t.verified(fmt.Sprintf("%d probes in a row passed", probesWanted))
			return
		}
		t.mu.Lock()
		if t.policy.weak() && classify(err) == unknown {
			t.probing = false
			t.mu.Unlock()
			t.nativeWorks(fmt.Sprintf("HTTP/2 answers again; whether gRPC passes is not known: %v", err))
			return
		}
		t.policy.stillClosed(time.Now(), err)
		t.remember(time.Now())
		t.schedule()
		t.mu.Unlock()
		t.dialer.logger().Debug("fallback: probe failed", "target", t.name, "err", err)
	}
}

// unused reports, and ends the probing, when the tunnel is not the way or
// nobody goes it.
func (t *target) unused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probing = t.way == Tunnel && (len(t.links) > 0 || len(t.resolvers) > 0)
	return !t.probing
}

// probeCycle probes: gRPC over a connection of its own, over the same
// connection after it was idle, and over another one. If the tunnel was chosen
// without evidence about HTTP/2, one probe is enough.
func (t *target) probeCycle(ctx context.Context) error {
	t.mu.Lock()
	weak := t.policy.weak()
	t.mu.Unlock()
	if weak {
		return t.probeOnce(ctx, 0, 0)
	}
	if err := t.probeOnce(ctx, 0, orDefault(t.dialer.ProbeIdle, defaultProbeIdle)); err != nil {
		return err
	}
	return t.probeOnce(ctx, probesWanted-1, 0)
}

// verifyMethod is what a culvert server answers, and others do not know.
const verifyMethod = "/culvert.v1.Verify/Echo"

// probeOnce verifies gRPC on a new connection and, if idle is not 0, on the
// same after that time. good counts the probes that passed before. Like the
// verification it is none of the program's RPCs: no interceptor sees it.
func (t *target) probeOnce(ctx context.Context, good int, idle time.Duration) error {
	var v *verifying
	err := t.probeWith(ctx, func(ctx context.Context) error {
		c, err := t.connect(ctx, t.dest.addr, func() {}, "h2", "http/1.1")
		if err != nil {
			return err
		}
		v = newVerifying(c, t.dialer.scheme("http"), t.dest.authority)
		if sign := noHTTP2(c); sign != nil {
			return sign
		}
		return v.prove(ctx, func() { t.dialer.Trace.firstFrame(t.name, nil) })
	})
	if v != nil {
		defer v.conn.Close()
	}
	t.dialer.Trace.probed(t.name, good+1, err)
	if err != nil || idle == 0 {
		return err
	}
	if err = v.rest(ctx, idle); err == nil {
		err = t.probeWith(ctx, func(ctx context.Context) error { return v.prove(ctx, func() {}) })
	}
	if err != nil {
		err = fmt.Errorf("fallback: probe: %w", err)
	}
	t.dialer.Trace.probed(t.name, good+2, err)
	return err
}

// probeWith bounds one probe.
func (t *target) probeWith(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, silence(probeTimeout))
	defer cancel()
	if err := probe(ctx); err != nil {
		return fmt.Errorf("fallback: probe: %w", err)
	}
	return nil
}
