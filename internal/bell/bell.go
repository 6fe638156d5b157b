// Package bell has a channel for those who wait for a change.
package bell

// Bell wakes one who waits. The zero value is ready to use, and nothing is
// allocated until somebody waits. Its methods are called with the lock held that
// guards what it tells of.
type Bell struct{ line chan struct{} }

// Line returns the channel on which a waiter hears the Bell. What rang before the
// first call of Line is not heard: the caller looks for the change itself, after
// the call or under the same lock.
func (b *Bell) Line() <-chan struct{} {
	if b.line == nil {
		b.line = make(chan struct{}, 1)
	}
	return b.line
}

// Ring is heard by one waiter, now or once there is one. To ring again before that
// makes no difference.
func (b *Bell) Ring() {
	select {
	case b.line <- struct{}{}:
	default:
	}
}
