package fallback

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Pace of the policy.
const (
	defaultMaxAttempts = 10
	attemptsWindow     = 30 * time.Second       // of ambiguous failures before the tunnel
	defaultHedgeDelay  = 500 * time.Millisecond // the tunnel's start behind native
	patience           = time.Second            // silence that counts as a failure
	grace              = 300 * time.Millisecond // that a tunnel waits for native
	defaultRecheck     = 10 * time.Minute       // life of a verdict
	maxRecheck         = 6 * time.Hour
	weakLife           = 5 * time.Second  // of a verdict for the tunnel from ambiguous failures
	unprovenLife       = 10 * time.Second // of a verdict for native without a proof
	basePace           = 100 * time.Millisecond
	maxPace            = 2 * time.Second // between attempts at native
)

// verdict is a way that was found to work.
type verdict struct {
	way    Way
	reason string
	since  time.Time
	until  time.Time
}

// holds reports whether v is to be relied on.
func (v verdict) holds(now time.Time) bool { return v.way != Undecided && now.Before(v.until) }

// plan is how a dial begins.
type plan struct {
	tunnel bool // with the tunnel
	both   bool // with both ways at once
	verify bool // native is to be verified
}

// step is what follows when native has failed.
type step int

const (
	again  step = iota // native, after a pause
	yield              // the tunnel, and native no more
	report             // neither: return the error
)

// policy decides between the two ways to one server, from the signs that it is
// told. It does no I/O and has no clock; its caller locks it.
type policy struct {
	maxAttempts int           // ambiguous failures before the tunnel
	recheck     time.Duration // life of a verdict

	verdict  verdict
	shut     bool          // there is evidence that HTTP/2 does not pass, and native has not worked since
	life     time.Duration // of the latest verdict for the tunnel
	failures int           // of native, ambiguous and in a row
	first    time.Time     // of these failures
	native   error         // the latest failure of either way,
	tunnel   error         // nil once it worked
}

// next says how a dial begins.
func (p *policy) next(now time.Time) plan {
	switch {
	case p.verdict.holds(now):
		return plan{tunnel: p.verdict.way == Tunnel}
	case p.shut:
		return plan{tunnel: true, verify: true}
	default:
		return plan{both: p.failures > 0, verify: true}
	}
}

// nativeFailed takes note of a failure of native.
func (p *policy) nativeFailed(now time.Time, err error) step {
	switch classify(err) {
	case never:
		p.native = err
		return report
	case definite:
		p.native = err
		p.giveUpNative()
		return yield
	default:
		if p.failures == 0 {
			p.first = now
		}
		p.native = err
		p.failures++
		if p.failures >= p.maxAttempts || now.Sub(p.first) >= attemptsWindow {
			p.giveUpNative()
			return yield
		}
		return again
	}
}

// giveUpNative takes note of evidence that HTTP/2 does not pass.
func (p *policy) giveUpNative() {
	p.shut = true
	if p.verdict.way == Direct {
		p.verdict = verdict{}
	}
}

// pace returns the pause before native is tried again.
func (p *policy) pace() time.Duration {
	return min(basePace<<min(max(p.failures-1, 0), 10), maxPace)
}

// nativeWorks takes note of a native connection that is used for reason. It is
// relied on for long once gRPC was seen to pass.
func (p *policy) nativeWorks(now time.Time, reason string) {
	p.failures, p.native, p.shut = 0, nil, false
	if p.verdict.way == Direct {
		p.verdict.until = later(p.verdict.until, now.Add(unprovenLife))
		return
	}
	if p.life = min(2*p.life, p.recheck); p.life == p.recheck {
		p.life = 0 // the next one begins anew
	}
	p.verdict = verdict{way: Direct, reason: reason, since: now, until: now.Add(unprovenLife)}
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// verified takes note of a proof that gRPC passes end to end.
func (p *policy) verified(now time.Time, reason string) {
	p.nativeWorks(now, reason)
	p.verdict.reason = reason
	p.verdict.until = now.Add(p.recheck)
}

// tunnelWorks takes note of a tunnel that works, and is the way from now on
// for reason. Without evidence about HTTP/2 it is the way for a short time.
func (p *policy) tunnelWorks(now time.Time, reason string) {
	p.tunnel = nil
	if p.verdict.way == Tunnel && p.verdict.holds(now) {
		return
	}
	p.life = max(p.life, weakLife)
	if p.shut {
		p.life = max(p.life, p.recheck)
	}
	p.verdict = verdict{way: Tunnel, reason: reason, since: now, until: now.Add(jitter(p.life))}
}

// weak reports whether the verdict for the tunnel is to be looked at again soon.
func (p *policy) weak() bool { return p.life < p.recheck }

// tunnelFailed takes note of a tunnel that could not be dialled.
func (p *policy) tunnelFailed(err error) { p.tunnel = err }

// bothFailed ends every verdict: the next dial begins with both ways.
func (p *policy) bothFailed() {
	p.verdict, p.shut = verdict{}, false
	p.failures = 1
}

// stillClosed takes note of a probe that native did not pass: the tunnel stays
// for twice as long as before.
func (p *policy) stillClosed(now time.Time, err error) {
	p.native = err
	p.life = min(2*max(p.life, weakLife), maxRecheck)
	p.verdict.until = now.Add(jitter(p.life))
}

// jitter returns d, shortened by up to a tenth.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

// silence is the failure of an attempt that has not answered yet.
func silence(d time.Duration) error {
	return &signError{class: ambiguous, what: fmt.Sprintf("no answer within %v", d.Round(time.Millisecond))}
}
