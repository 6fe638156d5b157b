package mux

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"culvert/internal/bell"
	"culvert/internal/deadline"
	"culvert/internal/token"
)

// maxChunk is how many bytes of one Write go into one frame, so that streams
// take turns. With its header it fills a WebSocket frame of 128 KiB.
const maxChunk = 128<<10 - headerSize

// errReset says that the peer refused the stream or gave it up.
var errReset = fmt.Errorf("mux: the peer reset the stream: %w", syscall.ECONNRESET)

// What a stream's state holds.
const (
	isClosed       = 1 << iota // by this side
	isReadLimited              // there is a read deadline
	isWriteLimited             // there is a write deadline
	isFinished                 // the peer will send no more
	isReset                    // by either side
	isEnded                    // with the session
	isRemoved                  // from the session
	isBuffered                 // there is something in buf
	isRefused                  // by the peer, before anything came
)

// stream is one yamux stream as a net.Conn.
type stream struct {
	session *Session
	id      uint32
	inbound bool
	counted bool // in session.open; guarded by its mu

	state      atomic.Uint32 // nothing special to look after if it is 0
	turn       token.Token   // the right to Write
	sendWindow atomic.Uint32 // how much more may be sent
	recvLimit  atomic.Uint32 // how much the peer may send in all, modulo 2^32
	received   uint32        // how much of that has come; belongs to the session's reader
	window     atomic.Uint32 // how much the peer may be ahead of the reader; changes with session.mu
	used       atomic.Uint32 // how much was read that the peer may send again, and has not been told
	turned     uint32        // how much was read since window changed; guarded by session.mu

	rdeadline *deadline.Deadline
	wdeadline *deadline.Deadline

	closeOnce sync.Once
	closed    bell.Latch

	mu                 sync.Mutex
	readable, writable bell.Bell // ring after a change that a waiter may want
	buf                buffer
	waiting            int         // calls of Read that wait for readable
	linger             *time.Timer // after Close
}

func newStream(s *Session, id uint32, inbound bool) *stream {
	st := &stream{session: s, id: id, inbound: inbound}
	st.sendWindow.Store(initialWindow)
	st.recvLimit.Store(initialWindow)
	st.window.Store(initialWindow)
	st.rdeadline = deadline.New(&st.state, isReadLimited, func() { s.interrupt(st) })
	st.wdeadline = deadline.New(&st.state, isWriteLimited, func() {})
	return st
}

// Read implements net.Conn. It returns io.EOF when the peer has closed the
// stream, and why the session ended if it did before that.
func (st *stream) Read(p []byte) (int, error) {
	r := reading{p: p}
	for {
		n, err := st.takeBuffered(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if st.lead(&r); r.n > 0 {
			return r.n, nil
		}
	}
}

// ReadReady is Read for a caller that does not want to hold a buffer while it
// waits: it calls get for one when there is something to read.
func (st *stream) ReadReady(get func() []byte) (int, error) {
	r := reading{get: get}
	for {
		if st.lead(&r); r.n > 0 {
			return r.n, nil
		}
		if st.ready() {
			return st.readNow(&r)
		}
	}
}

// readNow ends a ReadReady for which there is something in the buffer, or an
// error.
func (st *stream) readNow(r *reading) (int, error) { return st.Read(r.get()) }

// takeBuffered reads what is in the buffer, or returns why nothing will be.
func (st *stream) takeBuffered(p []byte) (n int, err error) {
	state := st.state.Load()
	switch {
	case state == 0:
		return 0, nil
	case state&isClosed != 0:
		return 0, net.ErrClosed
	case st.rdeadline.IsPast():
		return 0, os.ErrDeadlineExceeded
	}
	st.mu.Lock()
	n = st.buf.read(p)
	st.session.hold(-n)
	more := st.buf.n > 0
	if !more {
		st.state.And(^uint32(isBuffered))
	}
	if n == 0 && !more {
		err = st.final()
	}
	if more || err != nil {
		st.readable.Ring() // for other readers
	}
	st.mu.Unlock()
	if n > 0 {
		st.consumed(n)
	}
	return n, err
}

// final returns what Read returns once the buffer is empty, nil if data may
// come; st.mu is held.
func (st *stream) final() error {
	switch state := st.state.Load(); {
	case state&isFinished != 0:
		return io.EOF
	case state&isReset != 0:
		return errReset
	case state&isEnded != 0:
		return st.session.err // set before isEnded
	}
	return nil
}

// ready reports whether Read has something to return.
func (st *stream) ready() bool {
	const reasons = isClosed | isFinished | isReset | isEnded | isBuffered
	state := st.state.Load()
	return state != 0 && (state&reasons != 0 || st.rdeadline.IsPast())
}

// awaitLead waits while somebody else reads the connection. It reports true if
// that one left, and the caller has the token.
func (st *stream) awaitLead() bool {
	st.mu.Lock()
	if st.ready() {
		st.mu.Unlock()
		return false
	}
	st.waiting++
	readable := st.readable.Line()
	st.mu.Unlock()
	rtoken := &st.session.rtoken
	leads := rtoken.Want()
	if !leads {
		select {
		case <-rtoken.Next():
			leads = true
		case <-readable:
		case <-st.closed.Done():
		case <-st.rdeadline.Done():
		case <-st.session.done.Done():
		}
		if !leads {
			rtoken.Leave()
			st.session.arm()
		}
	}
	st.mu.Lock()
	st.waiting--
	st.mu.Unlock()
	return leads
}

// Close implements net.Conn: blocked calls return net.ErrClosed, and the peer
// reads io.EOF after the data that was written. Data that comes later resets
// the stream. A Write that the connection beneath has begun and does not
// finish stays until that ends.
func (st *stream) Close() error {
	st.closeOnce.Do(func() {
		st.state.Or(isClosed)
		st.closed.Close()
		st.session.interrupt(st)
		st.rdeadline.Set(time.Time{})
		st.wdeadline.Set(time.Time{})
		st.mu.Lock()
		st.session.hold(-st.buf.n)
		st.buf.discard()
		state := st.state.Load()
		gone := state&(isReset|isEnded) != 0
		over := gone || state&isFinished != 0
		if !over {
			st.linger = time.AfterFunc(st.session.cfg.CloseTimeout, st.reset)
		}
		st.mu.Unlock()
		if !gone {
			st.session.queue(header{typeWindow, flagFIN, st.id, 0})
		}
		if over {
			st.session.remove(st)
		}
		st.session.release(st)
	})
	return nil
}

// SetDeadline implements net.Conn.
func (st *stream) SetDeadline(t time.Time) error {
	return errors.Join(st.SetReadDeadline(t), st.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (st *stream) SetReadDeadline(t time.Time) error {
	if st.state.Load()&isClosed != 0 {
		return net.ErrClosed
	}
	st.rdeadline.Set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (st *stream) SetWriteDeadline(t time.Time) error {
	if st.state.Load()&isClosed != 0 {
		return net.ErrClosed
	}
	st.wdeadline.Set(t)
	return nil
}

// LocalAddr implements net.Conn with the address of the connection beneath.
func (st *stream) LocalAddr() net.Addr { return st.session.Addr() }

// RemoteAddr implements net.Conn with the address of the connection beneath.
func (st *stream) RemoteAddr() net.Addr { return st.session.RemoteAddr() }
