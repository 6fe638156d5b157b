package fallback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
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
	t.probing = t.way == Tunnel && (t.current != nil || len(t.resolvers) > 0)
	return !t.probing
}

// probeCycle probes: gRPC over a connection of its own, over the same
// connection after it was idle, and over another one.
func (t *target) probeCycle(ctx context.Context) error {
	if err := t.probeOnce(ctx, 0, orDefault(t.dialer.ProbeIdle, defaultProbeIdle)); err != nil {
		return err
	}
	return t.probeOnce(ctx, probesWanted-1, 0)
}

// probeOnce verifies gRPC on a new connection and, if idle is not 0, on the
// same after that time. good counts the probes that passed before.
func (t *target) probeOnce(ctx context.Context, good int, idle time.Duration) error {
	p := &probe{target: t}
	cc, err := grpc.NewClient("passthrough:///"+t.name,
		grpc.WithContextDialer(p.dial),
		grpc.WithTransportCredentials(transportCredentials{t.dialer}),
		grpc.WithIdleTimeout(0), grpc.WithDisableServiceConfig())
	if err != nil {
		return fmt.Errorf("fallback: probe: %w", err)
	}
	defer cc.Close()
	err = p.verify(ctx, cc)
	t.dialer.Trace.probed(t.name, good+1, err)
	if err != nil || idle == 0 {
		return err
	}
	if err = p.rest(ctx, cc, idle); err == nil {
		err = p.verify(ctx, cc)
	}
	t.dialer.Trace.probed(t.name, good+2, err)
	return err
}

// probe is a ClientConn that goes native.
type probe struct {
	target   *target
	answered atomic.Bool // by gRPC, not by a hop that speaks HTTP
}

// dial opens its connection.
func (p *probe) dial(ctx context.Context, addr string) (net.Conn, error) {
	a := p.target.open(ctx, addr, func() { p.answered.Store(true) }, func(error) {})
	if a.err != nil {
		a.close()
		return nil, a.err
	}
	return a.conn, nil
}

// rest leaves the connection idle for a time, in which it must not end.
func (p *probe) rest(ctx context.Context, cc *grpc.ClientConn, idle time.Duration) error {
	resting, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	if cc.WaitForStateChange(resting, connectivity.Ready) {
		return errors.New("fallback: probe: the connection ended while it was idle")
	}
	return ctx.Err()
}

// verifyMethod is what a culvert server answers, and others do not know.
const verifyMethod = "/culvert.v1.Verify/Echo"

// verify makes two round trips in one RPC.
func (p *probe) verify(ctx context.Context, cc *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	st, err := cc.NewStream(ctx, desc, verifyMethod)
	for range 2 {
		if err == nil {
			_ = st.SendMsg(wrapperspb.Bytes([]byte("probe"))) // RecvMsg says what is wrong
			err = st.RecvMsg(&wrapperspb.BytesValue{})
		}
	}
	if status.Code(err) == codes.Unimplemented && p.answered.Load() {
		return nil // by a gRPC server that is no culvert server
	}
	if err != nil {
		return fmt.Errorf("fallback: probe: %w", err)
	}
	return nil
}
