package listener

import (
	"net/http"
	"reflect"
)

// retryLater is the header of a refusal that is not for good.
func retryLater() http.Header { return http.Header{"Retry-After": {"5"}} }

// reserve counts a tunnel, and the goroutine that will serve it, unless there
// are too many or the Listener is closed. One that has lost its WebSocket makes
// room: who only waits must not keep others out.
func (l *Listener) reserve(principal any) error {
	l.mu.Lock()
	full := !l.closing && l.count >= l.cfg.MaxSessions
	l.mu.Unlock()
	evicted := full && l.sessions.Evict()
	who := keyOf(principal)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch limit := l.cfg.MaxSessionsOfPrincipal; {
	case l.closing || l.count >= l.cfg.MaxSessions && !evicted:
		l.counters.sessions.Add(1)
		return &RefusedError{http.StatusServiceUnavailable, retryLater(), "no more tunnels are taken at the moment"}
	case who != nil && limit >= 0 && l.countOf[who] >= limit:
		l.counters.ofPrincipal.Add(1)
		return &RefusedError{http.StatusTooManyRequests, retryLater(), "you have as many tunnels as you may"}
	}
	l.count++
	if who != nil {
		l.countOf[who]++
	}
	l.owned.Add(1)
	return nil
}

// release uncounts it.
func (l *Listener) release(principal any) {
	who := keyOf(principal)
	l.mu.Lock()
	l.count--
	if who != nil {
		if l.countOf[who]--; l.countOf[who] == 0 {
			delete(l.countOf, who)
		}
	}
	l.mu.Unlock()
	l.owned.Done()
}

// keyOf returns by what the principal is known, nil if it does not compare.
func keyOf(principal any) any {
	if principal == nil || !reflect.ValueOf(principal).Comparable() {
		return nil
	}
	return principal
}
