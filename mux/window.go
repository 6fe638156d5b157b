package mux

// grant returns how much window the peer is given to begin with, beyond what
// every stream has; s.mu is held.
func (st *stream) grant() uint32 {
	s := st.session
	delta := s.lend(uint32(s.cfg.StreamWindow) - initialWindow)
	st.window.Store(initialWindow + delta)
	st.recvLimit.Add(delta)
	return delta
}

// consumed gives the peer new window once a quarter of it is used up.
func (st *stream) consumed(n int) {
	if st.used.Add(uint32(n)) >= st.window.Load()/4 {
		st.renew()
	}
}

// renew gives the peer back what was read, and more if its window is due to
// grow.
func (st *stream) renew() {
	s := st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	delta := st.used.Swap(0)
	if delta == 0 || st.state.Load()&(isFinished|isReset|isEnded|isRemoved) != 0 {
		return
	}
	window := st.window.Load()
	if st.turned += delta; st.turned >= window && st.keepsUp(window) {
		st.turned = 0
		more := s.lend(min(window, uint32(s.cfg.MaxStreamWindow)-window))
		st.window.Store(window + more)
		delta += more
	}
	st.recvLimit.Add(delta)
	s.queue(header{typeWindow, 0, st.id, delta})
}

// keepsUp reports whether a wider window could make the stream faster: what
// waits to be read is little of the present one.
func (st *stream) keepsUp(window uint32) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.buf.n <= int(window)/4
}

// lend returns by how much a window may grow that is to grow by n; s.mu is held.
func (s *Session) lend(n uint32) uint32 {
	left := uint64(max(s.cfg.SessionWindow-s.lent, 0)) / 2 // it may be more than 32 bits hold
	n = uint32(min(uint64(n), left))
	s.lent += int(n)
	return n
}
