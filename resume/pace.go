package resume

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Pauses before a client dials, drawn at random below a limit. After a dial that
// failed the limit is baseDelay, doubled with each failure up to maxDelay, but at
// most half of the outage: a short outage has no long sequel. An error with the
// method RetryAfter may ask for more, up to maxDelay. After a useless carrier the
// limit doubles from baseUseless to maxUseless, and the pause is at least half of
// it; so it does, from baseDelay, where the peer asks to renew carriers that are
// not settled. The first dial after a useful carrier does not wait.
const (
	baseDelay   = 200 * time.Millisecond
	maxDelay    = 5 * time.Second
	baseUseless = 100 * time.Millisecond
	maxUseless  = 10 * time.Second
)

// settleAfter is how long a carrier has to last to be a success, unless it moves
// the stream forward before.
const settleAfter = 10 * time.Second

// A hop may pass a little on each carrier and then cut it. So the carriers
// accepted are bounded too: upgradeBurst at once, then one each upgradeEvery,
// which makes 12 in 30 s, and one more for each upgradeBytes of the stream.
const (
	upgradeBurst = 6
	upgradeEvery = 5 * time.Second
	upgradeBytes = 1 << 10
)

// pacer says when a client may dial. It has neither a clock nor a lock. The zero
// value has seen nothing.
type pacer struct {
	failures int       // in a row: dials that failed, carriers that were useless
	useless  int       // how many of them were carriers
	last     error     // of the latest failure
	at       time.Time // no dial before

	hasty   int       // requests in a row to renew a carrier that was not settled
	spurned int       // renewals in a row that failed
	renewAt time.Time // no dial before while the present carrier works

	paid   time.Time // until when the carriers accepted are paid for
	earned uint64    // progress of the stream that has paid for carriers
}

// next returns when the next dial may begin: a renewal if the present carrier
// works. progress is how far the stream has moved in all.
func (p *pacer) next(now time.Time, renewal bool, progress uint64) time.Time {
	p.earn(now, progress)
	at := later(p.at, p.paid.Add(-(upgradeBurst-1)*upgradeEvery))
	if renewal {
		at = later(at, p.renewAt)
	}
	return at
}

// earn lets the progress of the stream pay for carriers.
func (p *pacer) earn(now time.Time, progress uint64) {
	if progress > p.earned {
		n := min(progress-p.earned, upgradeBurst*upgradeBytes)
		p.paid = p.paid.Add(-time.Duration(n) * upgradeEvery / upgradeBytes)
		p.earned = progress
	}
	p.paid = later(p.paid, now)
}

// onAccepted notes that a carrier was accepted.
func (p *pacer) onAccepted(now time.Time, progress uint64) {
	p.earn(now, progress)
	p.paid = p.paid.Add(upgradeEvery)
	p.spurned = 0
}

// onUseful notes that a carrier was of use.
func (p *pacer) onUseful() {
	p.failures, p.useless, p.last = 0, 0, nil
	p.at = time.Time{}
}

// onUseless notes that a carrier ended that was of no use.
func (p *pacer) onUseless(now time.Time, err error) {
	p.failures++
	p.useless++
	p.last = err
	p.at = now.Add(grown(baseUseless, p.useless))
}

// onFailed notes that a dial failed, after an outage of that length.
func (p *pacer) onFailed(now time.Time, err error, outage time.Duration) {
	limit := min(baseDelay<<min(p.failures, 10), maxDelay, max(baseDelay, outage/2))
	p.failures++
	p.last = err
	p.at = now.Add(max(rand.N(limit), min(retryAfter(err), maxDelay)))
}

// onDrain notes that the peer asks to renew a carrier of that age.
func (p *pacer) onDrain(now time.Time, age time.Duration) {
	if age >= settleAfter {
		p.hasty = 0
		return
	}
	p.hasty++
	p.renewAt = later(p.renewAt, now.Add(grown(baseDelay, p.hasty)))
}

// onSpurned notes that a renewal failed.
func (p *pacer) onSpurned(now time.Time, err error) {
	p.spurned++
	p.renewAt = later(p.renewAt, now.Add(max(grown(baseDelay, p.spurned), min(retryAfter(err), maxDelay))))
}

// grown returns a pause after n failures that cost the peer an upgrade each.
func grown(base time.Duration, n int) time.Duration {
	limit := min(base<<min(n-1, 10), maxUseless)
	return limit/2 + rand.N(limit/2)
}

// retryAfter returns how long err asks to wait, as the answer of an HTTP server may
// do.
func retryAfter(err error) time.Duration {
	var asks interface{ RetryAfter() (time.Duration, bool) }
	if !errors.As(err, &asks) {
		return 0
	}
	after, _ := asks.RetryAfter()
	return after
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
