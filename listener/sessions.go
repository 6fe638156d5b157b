package listener

import "net/http"

// refusedForNow is a refusal that is not for good.
func refusedForNow(status int, reason string) error {
	return &RefusedError{status, http.Header{"Retry-After": {"5"}}, reason}
}

// reserve counts a tunnel, and the goroutine that will serve it, unless the
// caller has too many, there are too many in all, or the Listener is closed. It
// checks all that before it lets a tunnel without a WebSocket make room.
func (l *Listener) reserve(o owner) error {
	if err := l.streams.check(o.principal); err != nil {
		return err
	}
	full, has, err := l.admit(o)
	if err == nil && full && !l.sessions.EvictFor(o, has) {
		l.counters.sessions.Add(1)
		l.release(o)
		err = refusedForNow(http.StatusServiceUnavailable, "the server has as many tunnels as it takes")
	}
	return err
}

// admit counts a tunnel of o, and returns how many its group has. It reports full
// if there was no room: another one has to end, or this one to be uncounted.
func (l *Listener) admit(o owner) (full bool, has int, err error) {
	group := o.group()
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.cfg.MaxSessionsOfPrincipal
	switch {
	case l.closing:
		l.counters.sessions.Add(1)
		return false, 0, refusedForNow(http.StatusServiceUnavailable, "the server is shutting down")
	case keyOf(o.principal) != nil && limit >= 0 && l.countOf[group] >= limit:
		l.counters.ofPrincipal.Add(1)
		return false, 0, refusedForNow(http.StatusTooManyRequests, "you have as many tunnels as you may")
	}
	full = l.count >= l.cfg.MaxSessions
	l.count++
	l.countOf[group]++
	l.owned.Add(1)
	return full, l.countOf[group], nil
}

// release uncounts it.
func (l *Listener) release(o owner) {
	group := o.group()
	l.mu.Lock()
	l.count--
	if l.countOf[group]--; l.countOf[group] == 0 {
		delete(l.countOf, group)
	}
	l.mu.Unlock()
	l.owned.Done()
}
