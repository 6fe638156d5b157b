package mux

// firstStream is stream 1 of Config.FirstStream. Until the client has opened
// it, it holds up nothing: it is given up without anybody having used it.
type firstStream struct {
	first    *stream // until the client has opened it, else nil
	firstSYN bool    // the SYN for it may still come
}

// addFirst opens stream 1 on this side.
func (s *Session) addFirst(inbound bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = newStream(s, 1, inbound)
	s.streams.add(s.first)
	if !inbound {
		s.nextID = 3
		return
	}
	s.firstSYN = true
	s.admit(s.first)
}

// takeFirst returns stream 1 for the client's first Open, nil if it was opened
// or the server has ended it; s.mu is held.
func (s *Session) takeFirst() *stream {
	st := s.first
	if st == nil || st.inbound {
		return nil
	}
	s.first = nil
	if s.streams.get(st.id) != st {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.state.Load()&isFinished != 0 {
		s.hold(-st.buf.n)
		st.buf.discard()
		st.state.Or(isRemoved)
		s.streams.remove(st)
		s.queue(header{typeWindow, flagRST, st.id, 0})
		return nil
	}
	return st
}

// dropFirst gives stream 1 up if the client has not opened it.
func (s *Session) dropFirst() {
	s.mu.Lock()
	st := s.first
	s.first = nil
	s.mu.Unlock()
	if st != nil {
		st.reset()
		if !st.inbound { // else Accept returns it, or has
			st.abandon()
		}
		s.interrupt(st)
		s.release(st)
	}
}
