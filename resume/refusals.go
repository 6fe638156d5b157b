package resume

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// RetryError is a refusal to resume a session that is final if it goes on. A Dial
// returns it for the Conn to decide.
type RetryError struct {
	Refused  *RefusedError
	Instance string // of the server that has answered; "" if it is not known

	kind retryKind
}

// retryKind is why a refusal may pass.
type retryKind uint8

const (
	persists  retryKind = iota // the server, or its credentials, may be others soon
	unnamed                    // perhaps a hop has answered, or has replaced the answer
	conflict                   // a hop may have sent the request twice
	elsewhere                  // another server has answered: the next request may meet the right one
)

func (e *RetryError) Error() string {
	if e.kind == elsewhere {
		return fmt.Sprintf("%v (answered by instance %.40q, which does not have the session)", e.Refused, e.Instance)
	}
	return e.Refused.Error()
}

// Unwrap returns the *RefusedError.
func (e *RetryError) Unwrap() error { return e.Refused }

// Bounds of refusals that may pass.
const (
	retryFor     = 10 * time.Second // for how long they may go on
	maxConflicts = 2                // how many of a kind that passes at once

	elsewhereDelay = 50 * time.Millisecond  // on average, up to elsewhereMany; twice as long afterwards
	unnamedDelay   = 100 * time.Millisecond // doubled up to maxUnnamed
	maxUnnamed     = time.Second

	elsewhereMany = 20
	maxSeen       = 64 // instances that are told apart
	maxInstance   = 64 // bytes of one that count
)

// A search among other servers ends when it is unlikely that the right one is
// among them: the balancer has picked one of m others k times in a row, which it
// does at random with a probability of (m/(m+1))^k. Where dials are slow, and
// only one other server was ever seen, that is often enough sooner.
const (
	unlikely = 1e-5
	slowly   = 2 * time.Second
	slowMany = 7
)

// refusals are those in a row that may pass. It has neither a clock nor a lock.
// The zero value has seen none.
type refusals struct {
	first, last time.Time
	tries       int // of the kind of the last
	kind        retryKind
	elsewhere   int // in all
	seen        map[string]struct{}
}

// note reports whether e, which came now, is final, and else how soon the next
// request may follow: 0 leaves it to the pacer.
func (r *refusals) note(e *RetryError, now time.Time) (final bool, soon time.Duration) {
	if r.tries == 0 || now.Sub(r.last) > retryFor {
		*r = refusals{first: now}
	}
	r.last = now
	if r.kind != e.kind {
		r.kind, r.tries = e.kind, 0
	}
	r.tries++
	final = now.Sub(r.first) >= retryFor
	switch e.kind {
	case elsewhere:
		final = r.isHopeless(e.Instance, now) || final
		soon = around(elsewhereDelay)
		if r.elsewhere > elsewhereMany {
			soon = around(2 * elsewhereDelay)
		}
	case unnamed:
		soon = around(min(unnamedDelay<<min(r.tries-1, 10), maxUnnamed))
	case conflict:
		final = r.tries >= maxConflicts || final
		soon = around(elsewhereDelay)
	}
	return final, soon
}

// isHopeless counts an answer of another server, and reports whether the right
// one is not to be expected any more.
func (r *refusals) isHopeless(instance string, now time.Time) bool {
	if r.seen == nil {
		r.seen = map[string]struct{}{}
	}
	if len(r.seen) < maxSeen {
		r.seen[instance[:min(len(instance), maxInstance)]] = struct{}{}
	}
	r.elsewhere++
	m := float64(len(r.seen))
	return math.Pow(m/(m+1), float64(r.elsewhere)) < unlikely ||
		m == 1 && r.elsewhere >= slowMany && now.Sub(r.first) >= slowly
}

// around returns a random time, d on average.
func around(d time.Duration) time.Duration { return d/2 + rand.N(d) }
