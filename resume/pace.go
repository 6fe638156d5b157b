package resume

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A carrier that was accepted is not a success yet: there are hops that answer
// 101 and cut, and servers that ask for another carrier again and again. It was
// of use if it lasted for usefulAge or moved the stream forward.
const usefulAge = 10 * time.Second

// Pauses after carriers that were of no use: uselessBase, doubled with each in a
// row up to uselessMax, and no less than half of that. So no more than 10 are
// dialled in 30 s.
const (
	uselessBase = 500 * time.Millisecond
	uselessMax  = 10 * time.Second
)

// Carriers that were of use are replaced at once, but no more than quickBurst in
// a row and one in quickPause from then on.
const (
	quickBurst = 100
	quickPause = 100 * time.Millisecond
)

// pacer says when the next carrier may be dialled, by what became of those
// before. Conn.mu guards it.
type pacer struct {
	useless   int       // carriers in a row that were of no use
	err       error     // what ended the latest of them
	quick     int       // carriers that may be replaced at once
	counted   time.Time // when quick was counted
	notBefore time.Time
}

// ended takes note of a carrier that err has ended, or another one replaced.
func (p *pacer) ended(now time.Time, useful bool, err error) {
	if useful {
		p.useless, p.err = 0, nil
		p.notBefore = now.Add(p.replace(now))
		return
	}
	limit := min(uselessBase<<min(p.useless, 10), uselessMax)
	p.useless++
	p.err = err
	p.notBefore = now.Add(limit/2 + rand.N(limit/2+1))
}

// replace returns how long the replacement of a carrier that was of use waits.
func (p *pacer) replace(now time.Time) time.Duration {
	if p.counted.IsZero() {
		p.quick, p.counted = quickBurst, now
	}
	if more := int(now.Sub(p.counted) / quickPause); more > 0 {
		p.quick, p.counted = min(p.quick+more, quickBurst), now
	}
	if p.quick > 0 {
		p.quick--
		return 0
	}
	p.counted = now.Add(quickPause) // what that brings is used up
	return quickPause
}

// wasUseful reports whether a was of use until now; mu is held.
func (c *Conn) wasUseful(a *Attachment, now time.Time) bool {
	return now.Sub(a.born) >= usefulAge || c.in.Load() > a.received || c.out.start > a.acked
}

// Trouble says that carriers are accepted and cut before they are of any use, nil
// if the latest was not.
func (c *Conn) Trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pace.useless == 0 {
		return nil
	}
	if a := c.cur.Load(); a != nil && c.wasUseful(a, time.Now()) {
		return nil
	}
	return fmt.Errorf("resume: carriers are accepted and cut before they are of use, %d in a row: %w", c.pace.useless, c.pace.err)
}
