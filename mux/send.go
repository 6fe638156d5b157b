package mux

import "net"

// maxControl bounds the control frames that wait to be sent, in bytes. A peer
// that provokes answers without reading them is cut off.
const maxControl = 64 << 10

// maxPings bounds them for a ping and its answer, which is dropped beyond.
const maxPings = 4 << 10

// queue sees that the control frame h is sent, ahead of any data written from
// now on. It never blocks.
func (s *Session) queue(h header) {
	s.cmu.Lock()
	defer s.cmu.Unlock()
	if s.closing || (h.kind == typePing && len(s.control) >= maxPings) {
		return
	}
	if h.kind != typeWindow || h.flags&(flagSYN|flagFIN) == 0 { // else this side's own doing
		s.provoked += headerSize
	}
	if s.provoked > maxControl {
		s.owned.Add(1)
		s.closing = true
		go func() {
			defer s.owned.Done()
			s.fail(protocolError("it provokes answers and does not read them"))
		}()
		return
	}
	s.control = h.append(s.control)
	s.owed.Store(true)
	if !s.flushing {
		s.flushing = true
		s.owned.Add(1)
		go s.flushControl()
	}
}

// flushControl sends control frames until none is owed. It is a goroutine of
// its own since who provokes them, the reader, must not wait for a writer.
func (s *Session) flushControl() {
	defer s.owned.Done()
	for {
		if !s.wtoken.Want() {
			select {
			case <-s.wtoken.Next():
			case <-s.done.Done():
				s.wtoken.Leave()
				return
			}
		}
		s.cmu.Lock()
		none := len(s.control) == 0
		s.flushing = !none
		s.cmu.Unlock()
		if none {
			s.wtoken.Release()
			return
		}
		if s.writeControl() != nil {
			return
		}
	}
}

// writeFrame sends the control frames that are owed and then h with body, of
// st if not nil, unless st was closed: FIN may have gone ahead. The caller has
// the token; writeFrame gives it back. An error of the connection ends the
// session.
func (s *Session) writeFrame(st *stream, h header, body []byte) error {
	s.takeControl()
	if st != nil && st.state.Load()&isClosed != 0 {
		if err := s.sendHead(nil); err != nil {
			return err
		}
		return net.ErrClosed
	}
	s.head = h.append(s.head)
	return s.sendHead(body)
}

// writeControl sends the control frames that are owed. The caller has the
// token; writeControl gives it back. An error ends the session.
func (s *Session) writeControl() error {
	s.takeControl()
	return s.sendHead(nil)
}

// takeControl moves the control frames that are owed to head.
func (s *Session) takeControl() {
	s.head = s.head[:0]
	if s.owed.Load() {
		s.takeOwed()
	}
}

func (s *Session) takeOwed() {
	s.cmu.Lock()
	defer s.cmu.Unlock()
	s.head, s.control = append(s.head, s.control...), s.control[:0]
	s.provoked = 0
	s.owed.Store(false)
}

// sendHead sends head and body and gives the token back.
func (s *Session) sendHead(body []byte) (err error) {
	if len(s.head) > 0 {
		err = s.carrier.send(s.head, body)
	}
	s.wtoken.Release()
	if err != nil {
		s.fail(err)
	}
	return err
}
