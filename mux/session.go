// Package mux makes one net.Conn many, in both directions, by yamux. It knows
// nothing of what carries the connection: any net.Conn will do, and both ends
// must use it. Beyond yamux itself it bounds what a peer can make it hold,
// shuts down gracefully, and its streams keep the promises of net.Conn.
package mux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// ErrGoAway is returned by Open when the peer takes no more streams, since it
// is shutting down. Streams that are open go on.
var ErrGoAway = errors.New("mux: the peer takes no more streams")

// Session is one connection that carries many streams. Either side opens them.
// It is a net.Listener. All its methods may be called concurrently.
type Session struct {
	y       *yamux.Session
	carrier *carrier
	cfg     Config

	accepted chan *stream
	done     chan struct{} // closed when the session has ended

	mu       sync.Mutex
	err      error         // why the session ended; does not change after done
	open     int           // streams that are not closed by this side
	inbound  int           // those among them that the peer opened
	idle     chan struct{} // closed when open falls to 0; nil if nobody waits
	closing  bool          // Close was called
	draining bool          // Shutdown was called

	owned sync.WaitGroup // goroutines that Close waits for
}

// Client makes c a session in the client's role. The roles differ in nothing
// but the numbers of the streams that they open; the two ends must have
// different ones. The Session owns c from here on.
func Client(c net.Conn, cfg *Config) (*Session, error) { return newSession(c, cfg, yamux.Client) }

// Server is Client for the other end.
func Server(c net.Conn, cfg *Config) (*Session, error) { return newSession(c, cfg, yamux.Server) }

type newYamux func(io.ReadWriteCloser, *yamux.Config) (*yamux.Session, error)

func newSession(c net.Conn, cfg *Config, start newYamux) (*Session, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Session{
		carrier:  newCarrier(c),
		cfg:      full,
		accepted: make(chan *stream, full.AcceptBacklog),
		done:     make(chan struct{}),
	}
	if s.y, err = start(s.carrier, full.yamux()); err != nil {
		return nil, fmt.Errorf("mux: %w", err)
	}
	s.owned.Add(1)
	go s.acceptLoop()
	return s, nil
}

// acceptLoop takes every stream that the peer opens at once, since yamux ends
// streams that wait too long, and refuses those above the limits.
func (s *Session) acceptLoop() {
	defer s.owned.Done()
	for {
		y, err := s.y.AcceptStream()
		if err != nil {
			if !s.y.IsClosed() {
				continue // the one stream is gone, not the session
			}
			s.end(err)
			return
		}
		st := &stream{session: s, y: y, inbound: true, closed: make(chan struct{})}
		if !s.admit(st) {
			s.cfg.Logger.Warn("mux: refused a stream", "remote", s.RemoteAddr(), "limit", s.cfg.MaxStreams)
			_ = st.Close()
			continue
		}
		select {
		case s.accepted <- st:
		default:
			s.cfg.Logger.Warn("mux: refused a stream, too many wait for Accept", "remote", s.RemoteAddr())
			_ = st.Close()
		}
	}
}

// end records why the session is over and wakes who waits for it.
func (s *Session) end(yamuxErr error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = s.carrier.cause(yamuxErr)
	}
	s.mu.Unlock()
	close(s.done)
}

// admit counts a stream that is to be handed out. It reports false if it is
// one too many; it is counted even so, until it is closed.
func (s *Session) admit(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	if st.inbound {
		s.inbound++
	}
	return !st.inbound || s.inbound <= s.cfg.MaxStreams
}

// release uncounts a stream.
func (s *Session) release(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if st.inbound {
		s.inbound--
	}
	if s.open == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// own registers a goroutine that Close waits for, unless the session is closed.
func (s *Session) own() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.owned.Add(1)
	return true
}

// Open opens a stream. It costs no round trip: a peer that refuses the stream
// closes it. ctx bounds the call alone. The error is ErrGoAway if the peer is
// shutting down, and otherwise why the session ended.
func (s *Session) Open(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	if draining {
		return nil, net.ErrClosed
	}
	y, err := await(ctx, s, s.y.OpenStream, func(y *yamux.Stream) { _ = y.Close() })
	if err != nil {
		return nil, err
	}
	st := &stream{session: s, y: y, closed: make(chan struct{})}
	s.admit(st)
	return st, nil
}

// Ping measures the round-trip time to the peer's session, behind the data
// that is on its way already. ctx bounds the call.
func (s *Session) Ping(ctx context.Context) (time.Duration, error) {
	return await(ctx, s, s.y.Ping, nil)
}

// await runs a call of yamux that takes no ctx, from a goroutine that is left
// behind when ctx ends; discard then gets its result.
func await[T any](ctx context.Context, s *Session, call func() (T, error), discard func(T)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	if !s.own() {
		return zero, net.ErrClosed
	}
	type result struct {
		v   T
		err error
	}
	done, left := make(chan result), make(chan struct{})
	go func() {
		defer s.owned.Done()
		v, err := call()
		select {
		case done <- result{v, err}:
		case <-left:
			if err == nil && discard != nil {
				discard(v)
			}
		}
	}()
	select {
	case r := <-done:
		return r.v, s.mapError(r.err)
	case <-ctx.Done():
		close(left)
		return zero, context.Cause(ctx)
	}
}

// Accept returns the next stream that the peer opened. It returns
// net.ErrClosed after Close or Shutdown of this side, and otherwise why the
// session ended, io.EOF if the peer ended it in order.
func (s *Session) Accept() (net.Conn, error) {
	select {
	case st := <-s.accepted:
		return st, nil
	case <-s.done:
		return nil, s.err
	}
}

// Shutdown tells the peer that no more streams are taken, opens none, waits
// until this side has closed all of its streams or ctx ends, and closes the
// session. It returns nil if every stream came to its own end.
func (s *Session) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	_, err := await(ctx, s, func() (struct{}, error) { return struct{}{}, s.y.GoAway() }, nil)
	if err == nil {
		err = s.waitIdle(ctx)
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, s.Close())
}

// waitIdle waits until no stream is open.
func (s *Session) waitIdle(ctx context.Context) error {
	s.mu.Lock()
	if s.open > 0 && s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle, open := s.idle, s.open
	s.mu.Unlock()
	if open == 0 {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the session and the connection beneath at once. Calls in flight,
// of the session and of its streams, return net.ErrClosed. It is idempotent
// and waits for the session's goroutines.
func (s *Session) Close() error { return s.CloseWithError(net.ErrClosed) }

// CloseWithError is Close, with another error than net.ErrClosed for Err and
// for the calls in flight.
func (s *Session) CloseWithError(cause error) error {
	s.mu.Lock()
	s.closing = true
	if s.err == nil {
		s.err = cause
	}
	s.mu.Unlock()
	err := s.y.Close()
	_ = s.carrier.Close() // yamux does not, if the session had ended by itself
	s.owned.Wait()
	return err
}

// giveUp ends a session that cannot go on, without waiting for it.
func (s *Session) giveUp() {
	if s.own() {
		go func() {
			defer s.owned.Done()
			_ = s.y.Close()
		}()
	}
}

// Done returns a channel that is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session ended, nil while it goes on: net.ErrClosed after
// Close, io.EOF if the peer ended it in order.
func (s *Session) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// NumStreams returns how many streams are open that this side has not closed.
func (s *Session) NumStreams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// Addr returns the local address of the connection beneath.
func (s *Session) Addr() net.Addr { return s.carrier.LocalAddr() }

// RemoteAddr returns the remote address of the connection beneath.
func (s *Session) RemoteAddr() net.Addr { return s.carrier.RemoteAddr() }

var _ net.Listener = (*Session)(nil)
