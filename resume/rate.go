package resume

import "time"

// A session may be resumed so often at once, and then once in that time. A client
// has no more than one carrier to lose at a time.
const (
	resumeBurst    = 100
	resumeInterval = 20 * time.Millisecond
)

// rate bounds how often something happens. The zero value has seen nothing.
type rate struct{ free time.Time }

// take reports whether it may happen now, and counts it if so.
func (r *rate) take(now time.Time, burst int, interval time.Duration) bool {
	free := r.free
	if free.Before(now) {
		free = now
	}
	if free.Sub(now) > time.Duration(burst-1)*interval {
		return false
	}
	r.free = free.Add(interval)
	return true
}
