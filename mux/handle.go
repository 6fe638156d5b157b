package mux

import (
	"fmt"
	"io"
	"runtime"
)

// onHeader handles a frame header. If a body follows it sets current and left.
func (s *Session) onHeader(h header) (woke bool, err error) {
	if h.kind == typePing || h.kind == typeGoAway {
		s.chargeFrame(h, nil)
		if h.kind == typePing {
			return false, s.onPing(h)
		}
		return false, s.onGoAway(h)
	}
	st, err := s.streamOf(h)
	if err != nil {
		return false, err
	}
	body := h.kind == typeData && h.length > 0
	if !body || h.flags != 0 || st == nil {
		s.chargeFrame(h, st)
	}
	if body {
		s.current, s.left, s.last = st, h.length, h.flags&flagFIN != 0
		s.bulk = h.length >= minBulk
	}
	if st == nil {
		return false, nil
	}
	if h.flags&flagRST != 0 {
		s.current = nil
		return st.onRST(), nil
	}
	switch {
	case h.kind == typeWindow:
		err = st.onWindow(h.length)
	case body:
		err = s.onData(st, h.length)
	}
	if err == nil && h.flags&flagFIN != 0 && !body {
		woke = st.onFIN()
	}
	return woke, err
}

// onData charges a data frame to the window of st.
func (s *Session) onData(st *stream, length uint32) error {
	closed, err := st.charge(length)
	if closed { // nobody will read it: as TCP does, tell the peer
		s.current = nil
		st.reset()
	}
	return err
}

// streamOf returns the stream of a frame, nil if there is none (any more). A
// SYN makes one, or refuses it.
func (s *Session) streamOf(h header) (*stream, error) {
	if st := s.current; st != nil && st.id == h.stream && h.flags&flagSYN == 0 && st.state.Load()&(isEnded|isRemoved) == 0 {
		return st, nil // as a rule
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	st := s.streams.get(h.stream)
	if st != nil && st == s.first && st.inbound {
		s.first = nil
	}
	if h.flags&flagSYN == 0 {
		return st, nil
	}
	if h.stream == 1 && s.firstSYN {
		s.firstSYN = false
		return st, nil
	}
	if st != nil || h.stream == 0 || h.stream%2 == s.nextID%2 {
		return nil, protocolError(fmt.Sprintf("stream %d cannot be opened", h.stream))
	}
	if s.local || s.inbound >= s.cfg.MaxStreams || len(s.waiting) >= s.cfg.AcceptBacklog {
		if !s.local && !s.refused {
			s.refused = true
			s.cfg.Logger.Warn("mux: refused a stream", "remote", s.RemoteAddr(), "open", s.inbound, "waiting", len(s.waiting))
		}
		s.queue(header{typeWindow, flagRST, h.stream, 0})
		return nil, nil
	}
	st = newStream(s, h.stream, true)
	s.streams.add(st)
	s.admit(st)
	return st, nil
}

// admit counts a stream that the peer opened and lets Accept return it. There
// is room for it, and s.mu is held.
func (s *Session) admit(st *stream) {
	s.inbound++
	st.counted = true
	s.open++
	s.queue(header{typeWindow, flagACK, st.id, st.grant()})
	s.waiting = append(s.waiting, st)
	switch {
	case s.cfg.Handle == nil:
		s.acceptable.Ring()
	case !s.handling && s.own():
		s.handling = true
		go s.handle()
	}
}

// handle gives the streams that wait to Config.Handle.
func (s *Session) handle() {
	defer s.owned.Done()
	for {
		s.mu.Lock()
		st := s.takeWaiting()
		s.handling = st != nil
		s.mu.Unlock()
		if st == nil {
			return
		}
		s.cfg.Handle(s, st)
		runtime.Gosched() // there may be many: others first
	}
}

// remove forgets a stream that both sides have closed.
func (s *Session) remove(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.streams.remove(st) {
		return
	}
	st.state.Or(isRemoved)
	s.settle(st)
}

// release uncounts a stream that this side has closed, or never opened.
func (s *Session) release(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.counted {
		return
	}
	st.counted = false
	if s.open--; s.open == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	s.settle(st)
}

// settle gives back what a stream took that is removed and released. One that
// the peer has reset holds what was not read of it until this side closes it.
// s.mu is held.
func (s *Session) settle(st *stream) {
	if st.counted || st.state.Load()&isRemoved == 0 {
		return
	}
	if st.inbound {
		s.inbound--
	}
	s.lent -= int(st.window.Load()) - initialWindow
}

func (s *Session) onPing(h header) error {
	if h.flags&flagSYN != 0 {
		s.queue(header{typePing, flagACK, 0, h.length})
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if answered, ok := s.pings[h.length]; ok {
		delete(s.pings, h.length)
		close(answered)
	}
	return nil
}

func (s *Session) onGoAway(h header) error {
	s.mu.Lock()
	s.remote = true
	s.mu.Unlock()
	if h.length != goAwayNormal {
		return fmt.Errorf("mux: the peer gave up the session with code %d: %w", h.length, io.ErrUnexpectedEOF)
	}
	return nil
}
