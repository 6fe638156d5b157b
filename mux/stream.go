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
)

// maxChunk is how many bytes of one Write go into one frame, so that streams
// take turns. With its header it fills a WebSocket frame of 128 KiB.
const maxChunk = 128<<10 - headerSize

// errReset says that the peer refused the stream or gave it up.
var errReset = fmt.Errorf("mux: the peer reset the stream: %w", syscall.ECONNRESET)

// stream is one yamux stream as a net.Conn.
type stream struct {
	session *Session
	id      uint32
	inbound bool
	counted bool // in session.open; guarded by its mu

	readable, writable chan struct{} // hold a token after a change that a waiter may want
	rdeadline          *deadline
	wdeadline          *deadline
	turn               chan struct{} // holds one token: the right to Write

	closeOnce sync.Once
	closed    chan struct{}
	finished  atomic.Bool // FIN is queued or sent: no data may follow

	mu         sync.Mutex
	buf        buffer
	waiting    int    // calls of Read that wait for readable
	unread     uint32 // bytes of data frames that were announced and not yet read
	recvWindow uint32 // how much more the peer may send
	sendWindow uint32 // how much more may be sent
	fin        bool   // the peer will send no more
	wasReset   bool
	ended      bool        // the session has ended
	linger     *time.Timer // after Close
}

func newStream(s *Session, id uint32, inbound bool) *stream {
	st := &stream{
		session: s, id: id, inbound: inbound,
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		turn: make(chan struct{}, 1), closed: make(chan struct{}),
		recvWindow: initialWindow, sendWindow: initialWindow,
	}
	st.rdeadline = newDeadline(func() { s.interrupt(st) })
	st.wdeadline = newDeadline(func() {})
	st.turn <- struct{}{}
	return st
}

// Read implements net.Conn. It returns io.EOF when the peer has closed the
// stream, and why the session ended if it did before that.
func (st *stream) Read(p []byte) (int, error) {
	for {
		n, err := st.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if n = st.readOrWait(p, nil); n > 0 {
			return n, nil
		}
	}
}

// ReadReady is Read for a caller that does not want to hold a buffer while it
// waits: it calls get for one when there is something to read.
func (st *stream) ReadReady(get func() []byte) (int, error) {
	for {
		if n := st.readOrWait(nil, get); n > 0 {
			return n, nil
		}
		if st.ready() {
			return st.Read(get())
		}
	}
}

// readOrWait reads the connection if nobody else does, else waits.
func (st *stream) readOrWait(p []byte, get func() []byte) (n int) {
	select {
	case <-st.session.rtoken:
		n = st.session.lead(st, p, get)
	default:
		n = st.wait(p, get)
	}
	if n > 0 {
		st.consumed(n)
	}
	return n
}

// take reads what is in the buffer, or returns why nothing will be.
func (st *stream) take(p []byte) (n int, err error) {
	switch {
	case isDone(st.closed):
		return 0, net.ErrClosed
	case st.rdeadline.isPast():
		return 0, os.ErrDeadlineExceeded
	}
	st.mu.Lock()
	n = st.buf.read(p)
	more := st.buf.n > 0
	if n == 0 && !more {
		err = st.final()
	}
	st.mu.Unlock()
	if more || err != nil {
		notify(st.readable) // for other readers
	}
	if n > 0 {
		st.consumed(n)
	}
	return n, err
}

// final returns what Read returns once the buffer is empty, nil if data may
// come; st.mu is held.
func (st *stream) final() error {
	switch {
	case st.fin:
		return io.EOF
	case st.wasReset:
		return errReset
	case st.ended:
		return st.session.err // set before ended; its lock comes before st.mu
	}
	return nil
}

// ready reports whether Read has something to return.
func (st *stream) ready() bool {
	if isDone(st.closed) || st.rdeadline.isPast() {
		return true
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.buf.n > 0 || st.final() != nil
}

// wait waits while somebody else reads the connection, and leads if that one
// leaves.
func (st *stream) wait(p []byte, get func() []byte) (n int) {
	st.mu.Lock()
	st.waiting++
	st.mu.Unlock()
	lead := false
	select {
	case <-st.readable:
	case <-st.closed:
	case <-st.rdeadline.done():
	case <-st.session.done:
	case <-st.session.rtoken:
		lead = true
	}
	st.mu.Lock()
	st.waiting--
	st.mu.Unlock()
	if lead {
		n = st.session.lead(st, p, get)
	}
	return n
}

// consumed gives the peer new window once half of it is used up.
func (st *stream) consumed(n int) {
	st.mu.Lock()
	st.unread -= uint32(n)
	var delta uint32
	if !st.fin && !st.wasReset && !st.ended {
		delta = st.grantLocked(uint32(st.session.cfg.StreamWindow) / 2)
	}
	st.mu.Unlock()
	if delta > 0 {
		st.session.queue(header{typeWindow, 0, st.id, delta})
	}
}

// grant returns how much window the peer is to be given in addition.
func (st *stream) grant() uint32 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.grantLocked(0)
}

func (st *stream) grantLocked(atLeast uint32) uint32 {
	delta := uint32(st.session.cfg.StreamWindow) - st.unread - st.recvWindow
	if delta < atLeast {
		return 0
	}
	st.recvWindow += delta
	return delta
}

// Close implements net.Conn: blocked calls return net.ErrClosed, and the peer
// reads io.EOF after the data that was written. Data that comes later resets
// the stream. A Write that the connection beneath has begun and does not
// finish stays until that ends.
func (st *stream) Close() error {
	st.closeOnce.Do(func() {
		close(st.closed)
		st.session.interrupt(st)
		st.rdeadline.set(time.Time{})
		st.wdeadline.set(time.Time{})
		st.mu.Lock()
		st.buf.discard()
		gone := st.wasReset || st.ended
		over := gone || st.fin
		if !over {
			st.linger = time.AfterFunc(st.session.cfg.CloseTimeout, st.reset)
		}
		st.mu.Unlock()
		if !gone {
			st.finished.Store(true)
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
	if isDone(st.closed) {
		return net.ErrClosed
	}
	st.rdeadline.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (st *stream) SetWriteDeadline(t time.Time) error {
	if isDone(st.closed) {
		return net.ErrClosed
	}
	st.wdeadline.set(t)
	return nil
}

// LocalAddr implements net.Conn with the address of the connection beneath.
func (st *stream) LocalAddr() net.Addr { return st.session.Addr() }

// RemoteAddr implements net.Conn with the address of the connection beneath.
func (st *stream) RemoteAddr() net.Addr { return st.session.RemoteAddr() }

// notify leaves a token for a waiter, if there is none yet.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
