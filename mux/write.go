package mux

import (
	"net"
	"os"

	"culvert/internal/token"
)

// Write implements net.Conn. It neither changes nor keeps p. When its deadline
// passes while the connection beneath takes a frame, that frame is finished in
// the background and counted as written.
func (st *stream) Write(p []byte) (n int, err error) {
	if s := st.session; len(p) <= maxChunk && len(p) > 0 && s.wtoken.Try() {
		if st.mayWriteAtOnce(p) {
			if err := s.writeFrame(st, header{typeData, 0, st.id, uint32(len(p))}, p); err != nil {
				return 0, s.errOr(err)
			}
			return len(p), nil
		}
		s.wtoken.Release()
	}
	return st.write(p)
}

// mayWriteAtOnce reports whether nothing stands in the way of a frame with all
// of p, for which it takes window then. The caller has the session's token: no
// other Write comes in between, and one that has the turn goes first.
func (st *stream) mayWriteAtOnce(p []byte) bool {
	const reasons = isClosed | isWriteLimited | isReset | isEnded
	if st.state.Load()&reasons != 0 || st.turn.Held() {
		return false
	}
	if r := st.session.carrier.ready; r != nil && r.WriteReady(headerSize+len(p)) != nil {
		return false
	}
	return st.takeWindow(len(p), len(p)) > 0
}

// write is Write with all that may stand in its way.
func (st *stream) write(p []byte) (n int, err error) {
	if err := st.take(&st.turn); err != nil {
		return 0, err
	}
	defer st.turn.Release()
	for len(p) > 0 {
		chunk, err := st.reserve(p)
		if err != nil {
			return n, err
		}
		accepted, err := st.send(chunk)
		if accepted {
			n += len(chunk)
		}
		if err != nil {
			return n, err
		}
		p = p[len(chunk):]
	}
	return n, nil
}

// take takes t, and returns what a Write ends with if it has to end before.
func (st *stream) take(t *token.Token) error {
	if err := st.mayWrite(); err != nil {
		return err
	}
	if t.Want() {
		return nil
	}
	err := st.await(t.Next())
	if err != nil {
		t.Leave()
	}
	return err
}

// mayWrite returns what a Write ends with because of this side's doing.
func (st *stream) mayWrite() error {
	state := st.state.Load()
	switch {
	case state&(isClosed|isWriteLimited) == 0:
		return nil
	case state&isClosed != 0:
		return net.ErrClosed
	case st.wdeadline.IsPast():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// await waits for c, and returns what a Write ends with if it has to end
// before.
func (st *stream) await(c <-chan struct{}) error {
	deadline := st.wdeadline.Done()
	st.session.beginWait()
	defer st.session.endWait()
	select {
	case <-c:
		return nil
	case <-st.closed.Done():
		return net.ErrClosed
	case <-deadline:
		return os.ErrDeadlineExceeded
	case <-st.session.done.Done():
		return st.session.Err()
	}
}

// reserve returns the beginning of p for which there is window, waiting until
// there is some.
func (st *stream) reserve(p []byte) ([]byte, error) {
	var writable <-chan struct{}
	for {
		switch state := st.state.Load(); {
		case state&isReset != 0:
			return nil, errReset
		case state&isEnded != 0:
			return nil, st.session.err // set before isEnded
		}
		if size := st.takeWindow(1, min(len(p), maxChunk)); size > 0 {
			return p[:size], nil
		}
		if err := st.mayWrite(); err != nil {
			return nil, err
		}
		if writable == nil {
			st.mu.Lock()
			writable = st.writable.Line()
			st.mu.Unlock()
			continue // to look once more, since now it is heard
		}
		if err := st.await(writable); err != nil {
			return nil, err
		}
	}
}

// takeWindow takes as much as there is, from least to most bytes, and returns how
// much that is: 0 if there is less.
func (st *stream) takeWindow(least, most int) int {
	for {
		window := st.sendWindow.Load()
		size := int(min(window, uint32(most))) // most is a frame's length: window may not fit an int
		if size < least {
			return 0
		}
		if st.sendWindow.CompareAndSwap(window, window-uint32(size)) {
			return size
		}
	}
}

// send sends one data frame. accepted reports that it is, or will be, on its
// way.
func (st *stream) send(body []byte) (accepted bool, err error) {
	s := st.session
	if err := st.take(&s.wtoken); err != nil {
		st.sendWindow.Add(uint32(len(body)))
		return false, err
	}
	if err := st.awaitCarrier(headerSize + len(body)); err != nil {
		s.wtoken.Release()
		st.sendWindow.Add(uint32(len(body)))
		return false, err
	}
	h := header{typeData, 0, st.id, uint32(len(body))}
	if st.state.Load()&isWriteLimited != 0 {
		return st.sendDetached(h, body)
	}
	if err := s.writeFrame(st, h, body); err != nil {
		return false, s.errOr(err)
	}
	return true, nil
}

// awaitCarrier waits until the connection beneath would take n bytes at once, if
// it can say so: here the wait ends with the stream.
func (st *stream) awaitCarrier(n int) error {
	ready := st.session.carrier.ready
	if ready == nil {
		return nil
	}
	for {
		again := ready.WriteReady(n)
		if again == nil {
			return nil
		}
		if err := st.await(again); err != nil {
			return err
		}
	}
}

// sendDetached sends a copy of body from a goroutine that is left behind if
// the deadline passes.
func (st *stream) sendDetached(h header, body []byte) (accepted bool, err error) {
	s := st.session
	if !s.own() {
		s.wtoken.Release()
		return false, net.ErrClosed
	}
	done := make(chan error, 1)
	body = append([]byte(nil), body...)
	go func() {
		defer s.owned.Done()
		done <- s.writeFrame(st, h, body)
	}()
	select {
	case err := <-done:
		if err != nil {
			return false, s.errOr(err)
		}
		return true, nil
	case <-st.closed.Done():
		return true, net.ErrClosed
	case <-st.wdeadline.Done():
		return true, os.ErrDeadlineExceeded
	}
}
