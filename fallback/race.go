package fallback

import (
	"context"
	"fmt"
	"net"
	"time"
)

// attempt is what one try of native came to.
type attempt struct {
	conn  net.Conn // that speaks HTTP/2; nil if there is none
	http1 net.Conn // that TLS was done on, but HTTP/1.1 negotiated
	err   error    // with conn: gRPC was not proven to pass
}

func (a attempt) close() {
	for _, c := range []net.Conn{a.conn, a.http1} {
		if c != nil {
			_ = c.Close()
		}
	}
}

// tried is what a try of the tunnel came to.
type tried struct {
	link *link
	err  error
}

// outcome is how a race ends.
type outcome struct {
	conn net.Conn
	err  error
}

// race is one dial that goes native, or through the tunnel, or tries both. It
// is used by one goroutine; those that it starts report to it.
type race struct {
	target *target
	ctx    context.Context //nolint:containedctx // of the race: it ends the attempts
	addr   string
	plan   plan
	hedged bool // the tunnel may start before native is given up
	others bool // grpc has other addresses of the target to try

	natives chan attempt
	tunnels chan tried
	done    chan struct{} // nobody listens to the attempts any more

	running bool     // an attempt at native
	tried   bool     // an attempt at native has failed
	over    bool     // native is not tried again
	held    net.Conn // speaks HTTP/2 and is not proven
	started bool     // the tunnel
	failure error    // of the tunnel
	link    *link    // proven, waiting for native until grace

	retry, silence, hedge, grace <-chan time.Time
}

// race dials as p begins. The connection that it returns is on the way that
// the target goes from now on. others says that grpc has more addresses.
func (t *target) race(ctx context.Context, addr string, others bool, p plan) (net.Conn, error) {
	ctx, cancel := t.bind(ctx)
	r := &race{
		target: t, ctx: ctx, addr: addr, plan: p, hedged: t.dialer.HedgeDelay >= 0, others: others,
		natives: make(chan attempt), tunnels: make(chan tried), done: make(chan struct{}),
	}
	defer r.end(cancel)
	if p.tunnel {
		r.startTunnel(nil)
	} else {
		r.startNative()
		if r.hedged {
			r.silence = time.After(patience)
		}
	}
	for {
		if o := r.step(); o != nil {
			return o.conn, o.err
		}
	}
}

// step waits for one thing to happen. The race goes on if it returns nil.
func (r *race) step() *outcome {
	select {
	case a := <-r.natives:
		r.running = false
		return r.onNative(a)
	case l := <-r.tunnels:
		return r.onTunnel(l)
	case <-r.retry:
		r.startNative()
	case <-r.silence:
		if r.running && !r.started {
			r.target.note(silence(patience))
			r.startTunnel(nil)
		}
	case <-r.hedge:
		r.startTunnel(nil)
	case <-r.grace:
		return r.adopt()
	case <-r.ctx.Done():
		return &outcome{err: r.target.wayError(context.Cause(r.ctx))}
	}
	return nil
}

// onNative goes on after an attempt at native.
func (r *race) onNative(a attempt) *outcome {
	if a.err == nil {
		r.target.nativeWorks("HTTP/2 passes")
		return &outcome{conn: a.conn}
	}
	next := r.target.nativeFailed(a.err)
	r.tried = true
	r.hold(a, next)
	switch {
	case next == report, r.others && isUnreachable(a.err):
		return &outcome{err: a.err} // the next address is grpc's to try
	case r.link != nil:
		return r.adopt()
	case r.failure != nil:
		return r.settle()
	case next == yield:
		r.over = true
		r.startTunnel(a.http1)
	case r.held != nil:
		r.startTunnel(nil)
	default:
		r.retry = time.After(jitter(r.target.pace()))
		if r.hedged && !r.started && r.hedge == nil {
			r.hedge = time.After(orDefault(r.target.dialer.HedgeDelay, defaultHedgeDelay))
		}
	}
	return nil
}

// hold keeps a connection that may be gone back to, and closes what is of no use.
func (r *race) hold(a attempt, next step) {
	if a.http1 != nil && (next != yield || r.started) {
		_ = a.http1.Close()
	}
	if a.conn == nil {
		return
	}
	if next != again || r.held != nil {
		_ = a.conn.Close()
		return
	}
	r.held = a.conn
}

// onTunnel goes on after the tunnel was dialled.
func (r *race) onTunnel(l tried) *outcome {
	if err := l.err; err != nil {
		r.failure = err
		r.target.tunnelFailed(err)
		switch {
		case r.running:
		case r.tried:
			return r.settle()
		default:
			r.plan.verify = true
			r.startNative()
		}
		return nil
	}
	r.link = l.link
	if r.over || r.plan.tunnel || r.held != nil {
		return r.adopt()
	}
	if !r.running {
		r.startNative()
	}
	r.grace = time.After(grace)
	return nil
}

// adopt goes through the tunnel.
func (r *race) adopt() *outcome {
	c, err := r.link.open(r.ctx)
	if err != nil && r.ctx.Err() != nil { // nothing is wrong with the tunnel
		r.link = nil
		return &outcome{err: r.target.wayError(context.Cause(r.ctx))}
	}
	if err != nil {
		r.target.drop(r.link, err)
		r.link, r.failure = nil, err
		r.target.tunnelFailed(err)
		return r.settle()
	}
	r.target.tunnelWorks()
	r.link = nil
	return &outcome{conn: c}
}

// settle ends a race in which neither way was proven.
func (r *race) settle() *outcome {
	if c := r.held; c != nil {
		r.held = nil
		r.target.nativeWorks(fmt.Sprintf("HTTP/2 answers; gRPC was not verified, and there is no tunnel: %v", r.failure))
		return &outcome{conn: c}
	}
	return &outcome{err: r.target.bothFailed()}
}

// startNative makes one attempt at native.
func (r *race) startNative() {
	r.running, r.retry = true, nil
	r.target.dialer.spawn(func() {
		a := r.target.attempt(r.ctx, r.addr, r.plan.verify)
		select {
		case r.natives <- a:
		case <-r.done:
			a.close()
		}
	})
}

// startTunnel dials the tunnel, on established if it is not nil.
func (r *race) startTunnel(established net.Conn) {
	if r.started {
		return
	}
	r.started, r.hedge, r.silence = true, nil, nil
	sure := r.over || r.plan.tunnel
	r.target.dialer.spawn(func() {
		l, err := r.target.link(r.ctx, established)
		if err == nil && !sure {
			if err = l.proof(r.ctx); err != nil {
				l.unclaim()
				l = nil
			}
		}
		select {
		case r.tunnels <- tried{l, err}:
		case <-r.done:
			if l != nil {
				l.unclaim()
			}
		}
	})
}

// end stops what the race started.
func (r *race) end(cancel context.CancelFunc) {
	cancel()
	close(r.done)
	if r.held != nil {
		_ = r.held.Close()
	}
	if r.link != nil {
		r.link.unclaim()
	}
}
