package mux

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"
)

// maxChunk is how many bytes of one Write go into one frame, so that streams
// take turns and no frame makes either end hold much. With its header it fills
// a WebSocket frame of 64 KiB.
const maxChunk = 64<<10 - headerSize

// stallGrace is how long past its deadline a Write waits for yamux to say how
// far it got, before it concludes that the connection beneath stands still.
const stallGrace = 20 * time.Millisecond

// errReset says that the peer refused the stream or gave it up.
var errReset = fmt.Errorf("mux: the peer reset the stream: %w", syscall.ECONNRESET)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// stream is one yamux stream with the promises of net.Conn.
type stream struct {
	session *Session
	y       *yamux.Stream
	inbound bool

	readDeadline  atomic.Int64 // Unix time in nanoseconds; 0 means none
	writeDeadline atomic.Int64

	broken    atomic.Bool // a Write was left behind: nothing may follow it
	closeOnce sync.Once
	closed    chan struct{}
}

// Read implements net.Conn. It returns io.EOF when the peer has closed the
// stream, and why the session ended if it did before that.
func (st *stream) Read(p []byte) (int, error) {
	if err := cmp.Or(st.isClosed(), passed(&st.readDeadline)); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := st.y.Read(p)
	if n > 0 {
		return n, nil
	}
	return 0, st.mapError(err)
}

// Write implements net.Conn. It neither changes nor keeps p. A write whose
// deadline passes while the connection beneath stands still makes further
// writes fail, since nobody can say how much of it will arrive.
func (st *stream) Write(p []byte) (n int, err error) {
	for {
		if err := cmp.Or(st.isClosed(), passed(&st.writeDeadline)); err != nil {
			return n, err
		}
		chunk := p[:min(len(p), maxChunk)]
		var m int
		if deadline := st.writeDeadline.Load(); deadline == 0 {
			m, err = st.y.Write(chunk)
			err = st.mapError(err)
		} else {
			m, err = st.writeBy(time.Unix(0, deadline), chunk)
		}
		n += m
		if p = p[m:]; err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// writeBy writes a copy of p from a goroutine that is left behind if the
// connection beneath does not take it: yamux heeds a deadline only while it
// waits for the stream's window.
func (st *stream) writeBy(deadline time.Time, p []byte) (int, error) {
	if st.broken.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	if !st.session.own() {
		return 0, net.ErrClosed
	}
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	p = append([]byte(nil), p...)
	go func() {
		defer st.session.owned.Done()
		n, err := st.y.Write(p)
		done <- result{n, err}
	}()
	timer := time.NewTimer(time.Until(deadline) + stallGrace)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.n, st.mapError(r.err)
	case <-timer.C:
		st.broken.Store(true)
		return 0, os.ErrDeadlineExceeded
	case <-st.closed:
		return 0, net.ErrClosed
	}
}

// Close implements net.Conn: blocked calls return net.ErrClosed, and the peer
// reads io.EOF after the data that was written. Only a Write that the
// connection beneath has begun and does not finish stays until that ends,
// Config.WriteTimeout at most.
func (st *stream) Close() error {
	st.closeOnce.Do(func() {
		close(st.closed)
		_ = st.y.SetReadDeadline(longAgo) // yamux only half-closes
		_ = st.y.SetWriteDeadline(longAgo)
		if st.session.own() {
			go func() { // yamux waits until the connection beneath takes the FIN
				defer st.session.owned.Done()
				_ = st.y.Close()
				st.y.Shrink()
			}()
		}
		st.session.release(st)
	})
	return nil
}

// isClosed returns net.ErrClosed after Close.
func (st *stream) isClosed() error {
	select {
	case <-st.closed:
		return net.ErrClosed
	default:
		return nil
	}
}

// passed returns os.ErrDeadlineExceeded if deadline has passed.
func passed(deadline *atomic.Int64) error {
	if d := deadline.Load(); d != 0 && time.Now().UnixNano() >= d {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// SetDeadline implements net.Conn.
func (st *stream) SetDeadline(t time.Time) error {
	return errors.Join(st.SetReadDeadline(t), st.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (st *stream) SetReadDeadline(t time.Time) error {
	if err := st.isClosed(); err != nil {
		return err
	}
	st.readDeadline.Store(unixNano(t))
	return st.y.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (st *stream) SetWriteDeadline(t time.Time) error {
	if err := st.isClosed(); err != nil {
		return err
	}
	st.writeDeadline.Store(unixNano(t))
	return st.y.SetWriteDeadline(t)
}

// unixNano returns t for an atomic, 0 for no deadline.
func unixNano(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(longAgo):
		return 1
	default:
		return t.UnixNano()
	}
}

// LocalAddr implements net.Conn with the address of the connection beneath.
func (st *stream) LocalAddr() net.Addr { return st.session.Addr() }

// RemoteAddr implements net.Conn with the address of the connection beneath.
func (st *stream) RemoteAddr() net.Addr { return st.session.RemoteAddr() }

// mapError returns a yamux error as the caller of a stream is to see it.
func (st *stream) mapError(err error) error {
	if err == nil {
		return nil
	}
	if closed := st.isClosed(); closed != nil {
		return closed
	}
	if errors.Is(err, io.EOF) && !st.session.y.IsClosed() {
		return io.EOF
	}
	return st.session.mapError(err)
}

// mapError returns a yamux error as this package's callers are to see it.
func (s *Session) mapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	case errors.Is(err, yamux.ErrRemoteGoAway):
		return ErrGoAway
	case s.y.IsClosed(), errors.Is(err, yamux.ErrSessionShutdown):
		<-s.done // acceptLoop ends with the session
		return s.err
	case errors.Is(err, yamux.ErrConnectionReset):
		return errReset
	case errors.Is(err, yamux.ErrStreamClosed):
		return net.ErrClosed
	case errors.Is(err, yamux.ErrConnectionWriteTimeout):
		s.giveUp() // what was sent is unknown
		return fmt.Errorf("mux: the connection took no data for %v: %w", s.cfg.WriteTimeout, os.ErrDeadlineExceeded)
	default:
		return fmt.Errorf("mux: %w", err)
	}
}
