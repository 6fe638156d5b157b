package bell

import "sync/atomic"

// Latch is closed once, for all to see. The zero value is open, and nothing is
// allocated until somebody waits. It may be used concurrently.
type Latch struct{ line atomic.Pointer[chan struct{}] }

// shut is the line of a Latch that is closed.
//
//nolint:gochecknoglobals // never changed
var shut = func() *chan struct{} {
	c := make(chan struct{})
	close(c)
	return &c
}()

// Done returns a channel that is closed once the Latch is.
func (l *Latch) Done() <-chan struct{} {
	if c := l.line.Load(); c != nil {
		return *c
	}
	c := make(chan struct{})
	if l.line.CompareAndSwap(nil, &c) {
		return c
	}
	return *l.line.Load()
}

// Close closes the Latch. It is idempotent.
func (l *Latch) Close() {
	if c := l.line.Swap(shut); c != nil && c != shut {
		close(*c)
	}
}

// IsClosed reports whether the Latch is closed.
func (l *Latch) IsClosed() bool { return l.line.Load() == shut }
