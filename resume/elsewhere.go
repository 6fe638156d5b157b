package resume

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A request to resume that a balancer brought to another server than the one
// that has the session is made again, soon. If the same servers answer over and
// over, the one that has the session is not among them: with n of them seen, it
// would have been missed by chance n·elsewhereTries times, less than once in
// 10,000 cases.
const (
	elsewhereTries = 12
	elsewhereTime  = 10 * time.Second // for all of it
	elsewherePause = 60 * time.Millisecond
	elsewhereKnown = 64 // servers that are told apart
)

// ElsewhereError is the answer of a server that does not have the session, and
// is not the one that granted it. It is not final: another attempt may reach
// that one.
type ElsewhereError struct {
	Instance string // of the server that answered
	Reason   string
}

func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("resume: another server (%s) answered, which does not have the session: %s", e.Instance, e.Reason)
}

// elsewhere is the search for the server that has a session. Conn.mu guards it.
type elsewhere struct {
	since time.Time
	tries int
	seen  map[string]struct{}
}

// next takes note of an answer and returns the pause before the next attempt, or
// false if there is to be none.
func (e *elsewhere) next(now time.Time, instance string) (time.Duration, bool) {
	if e.tries == 0 {
		e.since, e.seen = now, map[string]struct{}{}
	}
	e.tries++
	if len(e.seen) < elsewhereKnown {
		e.seen[instance] = struct{}{}
	}
	if e.tries >= elsewhereTries*len(e.seen) || now.Sub(e.since) >= elsewhereTime {
		return 0, false
	}
	return elsewherePause/3 + rand.N(elsewherePause*2/3), true
}
