// Package deadline has a time that can be moved and waited for, as the methods
// SetReadDeadline and SetWriteDeadline of a net.Conn need it.
package deadline

import (
	"sync"
	"sync/atomic"
	"time"
)

// Deadline is a time that can be moved, and a channel that is closed once it
// has passed. It may be used concurrently.
type Deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{}  // nil until somebody asks for it
	fire   func()         // called when the time passes
	round  int            // of Set, so that a timer that is too late does nothing
	state  *atomic.Uint32 // where active is set while there is a deadline, passed or not
	active uint32
}

// New returns a Deadline that is not set. It sets the bit active of state while
// there is one, passed or not, and calls fire, without a lock, when it passes.
func New(state *atomic.Uint32, active uint32, fire func()) *Deadline {
	return &Deadline{fire: fire, state: state, active: active}
}

// Set moves the deadline; the zero time means none.
func (d *Deadline) Set(t time.Time) {
	d.mu.Lock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.round++
	round := d.round
	if t.IsZero() {
		d.state.And(^d.active)
	} else {
		d.state.Or(d.active)
	}
	if isDone(d.passed) {
		d.passed = nil
	}
	wait := time.Duration(1)
	if !t.IsZero() {
		if wait = time.Until(t); wait > 0 {
			d.timer = time.AfterFunc(wait, func() { d.expire(round) })
		}
	}
	d.mu.Unlock()
	if wait <= 0 {
		d.expire(round)
	}
}

// expire is called when the time that was set in the given round has come.
func (d *Deadline) expire(round int) {
	d.mu.Lock()
	if round != d.round || isDone(d.passed) {
		d.mu.Unlock()
		return
	}
	close(d.done())
	d.mu.Unlock()
	d.fire()
}

// Done returns a channel that is closed once the deadline has passed.
func (d *Deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done()
}

// done is Done for who holds mu.
func (d *Deadline) done() chan struct{} {
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

// IsPast reports whether the deadline has passed.
func (d *Deadline) IsPast() bool {
	if d.state.Load()&d.active == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return isDone(d.passed)
}

// isDone reports whether c is closed; nil is not.
func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
