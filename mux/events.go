package mux

import "math"

// push takes data that was read for the stream by another one, and reports
// whether somebody waited for it.
func (st *stream) push(b []byte) (woke bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.state.Load()&isClosed != 0 {
		return false
	}
	st.buf.write(b)
	st.session.hold(len(b))
	st.state.Or(isBuffered)
	return st.wake()
}

// abandon drops what came for a stream that nobody will ever read.
func (st *stream) abandon() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.state.Or(isClosed)
	st.session.hold(-st.buf.n)
	st.buf.discard()
}

// wake wakes a reader; st.mu is held.
func (st *stream) wake() bool {
	st.readable.Ring()
	return st.waiting > 0
}

// charge takes a data frame of the given length off the window. It reports
// whether this side has closed the stream.
func (st *stream) charge(length uint32) (closed bool, err error) {
	state := st.state.Load()
	switch {
	case length > st.recvLimit.Load()-st.received:
		return false, protocolError("more data than the window allows")
	case state&isFinished != 0:
		return false, protocolError("data after the end of a stream")
	}
	st.received += length
	return state&isClosed != 0, nil
}

// onWindow lets the stream send more.
func (st *stream) onWindow(delta uint32) error {
	if delta > math.MaxUint32-st.sendWindow.Load() { // what Write takes meanwhile only helps
		return protocolError("a window of 2^32 or more")
	}
	st.sendWindow.Add(delta)
	st.mu.Lock()
	st.writable.Ring()
	st.mu.Unlock()
	return nil
}

// onFIN notes that the peer sends no more, and reports whether a reader waited.
func (st *stream) onFIN() (woke bool) {
	st.mu.Lock()
	st.state.Or(isFinished)
	woke = st.wake()
	st.stopLinger()
	st.mu.Unlock()
	if st.state.Load()&isClosed != 0 {
		st.session.remove(st)
	}
	return woke
}

// onRST notes that the peer refused or gave up the stream. What came before can
// still be read.
func (st *stream) onRST() (woke bool) {
	st.mu.Lock()
	if st.received == 0 {
		st.state.Or(isRefused)
	}
	st.state.Or(isReset)
	woke = st.wake()
	st.writable.Ring()
	st.stopLinger()
	st.mu.Unlock()
	st.session.remove(st)
	return woke
}

// reset gives up a stream that the peer has not closed.
func (st *stream) reset() {
	st.mu.Lock()
	gone := st.state.Or(isReset)&(isReset|isEnded) != 0
	st.wake()
	st.writable.Ring()
	st.stopLinger()
	st.mu.Unlock()
	if !gone {
		st.session.queue(header{typeWindow, flagRST, st.id, 0})
		st.session.remove(st)
	}
}

// sessionEnded wakes everybody who waits; data that came is still there to be
// read.
func (st *stream) sessionEnded() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.state.Or(isEnded)
	st.wake()
	st.writable.Ring()
	st.stopLinger()
}

// stopLinger stops the timer of Close; st.mu is held.
func (st *stream) stopLinger() {
	if st.linger != nil {
		st.linger.Stop()
		st.linger = nil
	}
}
