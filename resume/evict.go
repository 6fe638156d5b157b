package resume

import "time"

// evictPatience is how long a session that was of use is kept for its client to
// come back, before it makes room for another one of the same group.
const evictPatience = 5 * time.Second

// Evict is EvictFor a principal that has no session.
func (s *Sessions) Evict() bool { return s.EvictFor(nil, 0) }

// EvictFor ends a session that is without a carrier, for one that principal wants
// to open, and reports whether there was one. has is how many its group has, with
// that one. The first to end are sessions on which next to nothing ever came.
// Then it is one of the group that has most, cut longest ago: of another group
// only if that has as many as has, of the same one only after 5 s.
func (s *Sessions) EvictFor(principal any, has int) bool {
	s.start()
	group := s.groupOf(principal)
	for range 8 { // the one that is found may get a carrier meanwhile
		se := s.victim(group, has)
		if se == nil {
			return false
		}
		if se.conn.evict() {
			return true
		}
	}
	return false
}

// victim returns the session that is to end.
func (s *Sessions) victim(group any, has int) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.unused.Front(); e != nil {
		return e.Value.(*session)
	}
	var found *session
	most := 0
	for e := s.waiting.Front(); e != nil; e = e.Next() {
		se := e.Value.(*session)
		n := s.groups[se.group]
		fair := n >= has
		if se.group == group {
			fair = time.Since(se.since) >= evictPatience
		}
		if fair && n > most {
			found, most = se, n
		}
	}
	return found
}

func (s *Sessions) groupOf(principal any) any {
	if s.Group == nil || principal == nil {
		return nil
	}
	return s.Group(principal)
}

// detached implements keeper.
func (se *session) detached() time.Duration {
	s := se.sessions
	s.mu.Lock()
	if s.m[se.id] == se && se.place == nil {
		se.since = time.Now()
		if se.conn.isUnused() {
			se.place = s.unused.PushBack(se)
		} else {
			se.place = s.waiting.PushBack(se)
		}
	}
	s.mu.Unlock()
	if se.watch.Cut != nil {
		return se.watch.Cut()
	}
	return 0
}

// attached implements keeper.
func (se *session) attached() {
	s := se.sessions
	s.mu.Lock()
	se.unlist()
	s.mu.Unlock()
	if se.watch.Resumed != nil {
		se.watch.Resumed()
	}
}

// finished implements keeper.
func (se *session) finished() {
	s := se.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	se.unlist()
	s.leave(se)
}

// denied implements keeper.
func (se *session) denied() {
	s := se.sessions
	s.mu.Lock()
	s.leave(se)
	s.mu.Unlock()
	if se.watch.Plain != nil {
		se.watch.Plain()
	}
}

// isEnding implements keeper.
func (se *session) isEnding() bool { return se.sessions.ending.Load() }

// unlist takes se from the list that it is in; Sessions.mu is held.
func (se *session) unlist() {
	if se.place != nil {
		se.sessions.unused.Remove(se.place)
		se.sessions.waiting.Remove(se.place) // only the list that has it does so
		se.place = nil
	}
}

// End has every session that is without a carrier, now or later, end after at most
// 5 s: the server is shutting down, and waits for them.
func (s *Sessions) End() {
	s.start()
	s.ending.Store(true)
	for _, c := range s.conns() {
		c.endSoon()
	}
}

// Watcher has hooks of one server's Conn, any of which may be nil. They are called
// one at a time, hold up the Conn and must not call it.
type Watcher struct {
	// Cut is called when the Conn has lost its carrier. It returns for how
	// long the Conn may be without one, if that is less than Config.Window; 0
	// means Config.Window, and a negative value that it ends at once.
	Cut func() time.Duration

	// Resumed is called when it has a carrier again.
	Resumed func()

	// Plain is called when it has turned out that the client has no session:
	// see AwaitConfirmation.
	Plain func()
}

// Watch sets the hooks of a Conn that Open returned, before its first Attach.
func (c *Conn) Watch(w Watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if se, ok := c.keeper.(*session); ok {
		se.watch = w
	}
}
