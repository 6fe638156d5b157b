// Package toll slows down who sends what costs him next to nothing.
package toll

import (
	"time"

	"culvert/internal/bell"
)

// Rate is what may pass a Gate: so many at once, and one more every so often.
type Rate struct {
	Burst int
	Every time.Duration
}

// stride is how many may pass between two looks at the clock.
const stride = 256

// Gate lets n pass at a Rate. The zero value is ready to use, by one goroutine
// at a time.
type Gate struct {
	passed int
	credit int
	last   time.Time
}

// Pass lets n pass. If there are too many it waits, until done is closed at the
// latest.
func (g *Gate) Pass(n int, r Rate, done *bell.Latch) {
	if g.passed += n; g.passed >= stride {
		g.wait(r, done)
	}
}

func (g *Gate) wait(r Rate, done *bell.Latch) {
	now := time.Now()
	if g.last.IsZero() {
		g.credit = r.Burst
	} else {
		g.credit = int(min(int64(r.Burst), int64(g.credit)+int64(now.Sub(g.last)/r.Every)))
	}
	g.last = now
	g.credit -= g.passed
	g.passed = 0
	if g.credit >= 0 {
		return
	}
	timer := time.NewTimer(time.Duration(-g.credit) * r.Every)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done.Done():
	}
}
