package mux

import (
	"net"
	"os"
)

// Write implements net.Conn. It neither changes nor keeps p. When its deadline
// passes while the connection beneath takes a frame, that frame is finished in
// the background and counted as written.
func (st *stream) Write(p []byte) (n int, err error) {
	if err := st.await(st.turn); err != nil {
		return 0, err
	}
	defer func() { st.turn <- struct{}{} }()
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

// await waits for a token of c, and returns what a Write ends with if it has
// to end before.
func (st *stream) await(c <-chan struct{}) error {
	if isDone(st.closed) {
		return net.ErrClosed
	}
	if st.wdeadline.isPast() {
		return os.ErrDeadlineExceeded
	}
	select {
	case <-c:
		return nil
	default:
	}
	deadline := st.wdeadline.done()
	select {
	case <-c:
		return nil
	case <-st.closed:
		return net.ErrClosed
	case <-deadline:
		return os.ErrDeadlineExceeded
	case <-st.session.done:
		return st.session.Err()
	}
}

// reserve returns the beginning of p for which there is window, waiting until
// there is some.
func (st *stream) reserve(p []byte) ([]byte, error) {
	for {
		st.mu.Lock()
		var err error
		switch {
		case st.wasReset:
			err = errReset
		case st.ended:
			err = st.session.err // set before ended; its lock comes before st.mu
		}
		size := min(len(p), maxChunk, int(st.sendWindow))
		if err == nil {
			st.sendWindow -= uint32(size)
		}
		st.mu.Unlock()
		if err != nil || size > 0 {
			return p[:size], err
		}
		if err := st.await(st.writable); err != nil {
			return nil, err
		}
	}
}

// send sends one data frame. accepted reports that it is, or will be, on its
// way.
func (st *stream) send(body []byte) (accepted bool, err error) {
	s := st.session
	if err := st.await(s.wtoken); err != nil {
		st.giveBack(len(body))
		return false, err
	}
	h := header{typeData, 0, st.id, uint32(len(body))}
	if st.wdeadline.isSet() {
		return st.sendDetached(h, body)
	}
	if err := s.writeFrame(st, h, body); err != nil {
		return false, s.errOr(err)
	}
	return true, nil
}

// sendDetached sends a copy of body from a goroutine that is left behind if
// the deadline passes.
func (st *stream) sendDetached(h header, body []byte) (accepted bool, err error) {
	s := st.session
	if !s.own() {
		s.wtoken <- struct{}{}
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
	case <-st.closed:
		return true, net.ErrClosed
	case <-st.wdeadline.done():
		return true, os.ErrDeadlineExceeded
	}
}

// giveBack returns window that was not used.
func (st *stream) giveBack(n int) {
	st.mu.Lock()
	st.sendWindow += uint32(n)
	st.mu.Unlock()
}
