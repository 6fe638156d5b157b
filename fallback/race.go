package fallback

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Times of a race.
const (
	leastWait   = 100 * time.Millisecond // for the verification, once HTTP/2 answers
	leastTunnel = 150 * time.Millisecond // then for the tunnel
	tunnelWait  = time.Second            // for the tunnel, if the verification speaks for it
)

// tried is what a try of the tunnel came to.
type tried struct {
	link *link
	err  error
}

// outcome is how a race ends.
type outcome struct {
	conn *conn
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
	others bool // grpc has other addresses of the destination to try

	reached  chan struct{} // an attempt has connected to the server
	natives  chan attempt
	verified chan error
	tunnels  chan tried
	done     chan struct{} // nobody listens to the attempts any more

	running   bool          // an attempt at native
	connected time.Time     // when it reached the server; zero if it has not
	greeting  time.Duration // how long HTTP/2 took to answer then
	tried     bool          // an attempt at native has failed
	over      bool          // native is not tried again

	held     *conn         // speaks HTTP/2 and is not proven
	proof    *verification // of the attempt; nil if there is none, or it was heard
	verdict  error         // of the verification, if it ended before the attempt
	verdicts int           // how many there were

	started bool  // the tunnel
	failure error // of the tunnel
	link    *link // proven, waiting for native until grace

	retry, silence, hedge, grace, settling <-chan time.Time
}

// race dials as p begins. The connection that it returns is on the way that
// the target goes from now on. others says that grpc has more addresses.
func (t *target) race(ctx context.Context, addr string, others bool, p plan) (*conn, error) {
	ctx, cancel := t.bind(ctx)
	r := &race{
		target: t, ctx: ctx, addr: addr, plan: p, hedged: t.dialer.HedgeDelay >= 0, others: others,
		reached: make(chan struct{}, 1), natives: make(chan attempt), verified: make(chan error, 1),
		tunnels: make(chan tried), done: make(chan struct{}),
	}
	defer r.end(cancel)
	if p.tunnel {
		r.startTunnel(nil)
	} else {
		r.startNative()
		if p.both && r.hedged {
			r.startTunnel(nil)
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
	case <-r.reached:
		r.connected = time.Now()
		if r.hedged && !r.started {
			r.silence = time.After(patience)
		}
	case a := <-r.natives:
		r.running = false
		return r.onNative(a)
	case err := <-r.verified:
		return r.onVerified(err)
	case l := <-r.tunnels:
		return r.onTunnel(l)
	case <-r.retry:
		r.startNative()
	case <-r.silence:
		r.onSilence()
	case <-r.hedge:
		r.startTunnel(nil)
	case <-r.grace:
		return r.adopt()
	case <-r.settling:
		return r.settle()
	case <-r.ctx.Done():
		return r.onEnd()
	}
	return nil
}

// onSilence starts the tunnel beside an attempt, or a verification, that does
// not answer.
func (r *race) onSilence() {
	if r.started || !r.running && r.held == nil || r.others && r.target.alive() {
		return
	}
	r.target.note(silence(time.Since(r.connected)))
	r.startTunnel(nil)
	if r.held != nil {
		wait := max(leastTunnel, 2*r.greeting)
		if r.proof != nil && r.proof.halfway.Load() { // a hop holds answers back
			wait = max(wait, tunnelWait)
		}
		r.settling = time.After(wait)
	}
}

// onEnd takes note, for the next dial, of an attempt that reached the server and
// was still silent when its time was over.
func (r *race) onEnd() *outcome {
	if waited := time.Since(r.connected); r.running && !r.connected.IsZero() && waited >= 2*leastWait {
		r.target.silent(r.connected, waited)
	}
	return &outcome{err: r.target.wayError(context.Cause(r.ctx))}
}

// onNative goes on after an attempt at native.
func (r *race) onNative(a attempt) *outcome {
	if a.err != nil {
		r.dropProof()
		return r.onFailure(a)
	}
	if r.proof == nil {
		return r.goNative(a.conn, "HTTP/2 passes")
	}
	if r.held != nil {
		_ = r.held.Close()
	}
	r.held = a.conn
	if r.verdicts > 0 {
		return r.onVerified(r.verdict)
	}
	r.silence, r.greeting = nil, time.Since(r.connected)
	if r.hedged {
		r.silence = time.After(max(leastWait, r.greeting))
	}
	return nil
}

// onVerified goes on after a verification: it may prove that gRPC passes, and
// speak for the tunnel, but does not end a connection that speaks HTTP/2.
func (r *race) onVerified(err error) *outcome {
	if r.held == nil {
		r.verdict, r.verdicts = err, r.verdicts+1
		return nil
	}
	r.proof, r.verdict, r.verdicts = nil, nil, 0
	switch {
	case err == nil:
		return r.useHeld("HTTP/2 passes, gRPC was verified")
	case !isEvidence(err):
		return r.useHeld(fmt.Sprintf("HTTP/2 answers; whether gRPC passes is not known: %v", err))
	}
	r.over = r.target.nativeFailed(err) == yield
	r.tried, r.silence = true, nil
	switch {
	case r.link != nil:
		return r.adopt()
	case r.failure != nil || !r.hedged && !r.over:
		return r.settle()
	}
	r.startTunnel(nil)
	r.settling = time.After(tunnelWait)
	return nil
}

// onFailure goes on after an attempt that made no connection.
func (r *race) onFailure(a attempt) *outcome {
	next := r.target.nativeFailed(a.err)
	r.tried = true
	if a.http1 != nil && (next != yield || r.started) {
		_ = a.http1.Close()
		a.http1 = nil
	}
	switch {
	case next == report, next == again && r.others && !r.started:
		return &outcome{err: a.err} // the next address, or a pause, is grpc's to take
	case r.link != nil:
		return r.adopt()
	case r.failure != nil:
		return r.settle()
	case next == yield:
		r.over = true
		r.startTunnel(a.http1)
	default:
		r.connected = time.Time{}
		r.retry = time.After(jitter(r.target.pace()))
		if r.hedged && !r.started && r.hedge == nil {
			r.hedge = time.After(orDefault(r.target.dialer.HedgeDelay, defaultHedgeDelay))
		}
	}
	return nil
}

// onTunnel goes on after the tunnel was dialled.
func (r *race) onTunnel(l tried) *outcome {
	if err := l.err; err != nil {
		r.failure = err
		r.target.tunnelFailed(err)
		switch {
		case r.held != nil:
			return r.settle()
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
	doubted := r.held != nil && (r.proof == nil || r.settling != nil) // by the verification, or its silence
	if r.over || r.plan.tunnel || doubted {
		return r.adopt()
	}
	if !r.running && r.held == nil {
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
	switch {
	case r.held == nil:
		return &outcome{err: r.target.bothFailed()}
	case r.failure == nil:
		return r.useHeld("HTTP/2 answers; gRPC was not verified, and the tunnel has not answered")
	}
	return r.useHeld(fmt.Sprintf("HTTP/2 answers; gRPC was not verified, and there is no tunnel: %v", r.failure))
}

// useHeld goes by the connection that speaks HTTP/2.
func (r *race) useHeld(reason string) *outcome {
	c := r.held
	r.held = nil
	return r.goNative(c, reason)
}

// goNative goes by c.
func (r *race) goNative(c *conn, reason string) *outcome {
	r.target.nativeWorks(reason)
	return &outcome{conn: c}
}

// startNative makes one attempt at native, with a verification beside it if the
// plan has one.
func (r *race) startNative() {
	r.running, r.retry = true, nil
	if r.plan.verify && r.proof == nil {
		r.verdict, r.verdicts = nil, 0
		r.proof = r.target.verify(r.addr)
		proof, verified := r.proof, r.verified
		r.target.dialer.spawn(func() { verified <- proof.wait(r.done) }) // there is room for one
	}
	r.target.dialer.spawn(func() {
		a := r.target.attempt(r.ctx, r.addr, func() {
			select {
			case r.reached <- struct{}{}:
			default:
			}
		})
		select {
		case r.natives <- a:
		case <-r.done:
			a.close()
		}
	})
}

// dropProof ends the verification beside an attempt that failed.
func (r *race) dropProof() {
	if r.proof == nil {
		return
	}
	r.proof.cancel()
	r.proof = nil
	r.verified = make(chan error, 1) // the old one is not heard
	r.verdict, r.verdicts = nil, 0
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

// end stops what the race started. A verification goes on: what it finds counts
// for the next dial.
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
