// Package mux makes one net.Conn many, in both directions. The wire format is
// yamux, and either end may be github.com/hashicorp/yamux. It knows nothing of
// what carries the connection: any net.Conn will do.
//
// Nothing stands between a stream and the connection beneath that costs a
// switch of goroutines: Write sends its frame itself, and a stream that waits
// for data reads the connection for all of them, into its caller's buffer
// (see receive.go). What a peer can make a session hold is bounded, and
// streams keep the promises of net.Conn.
package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"culvert/internal/bell"
	"culvert/internal/token"
)

// ErrGoAway is returned by Open when the peer takes no more streams, since it
// is shutting down. Streams that are open go on.
var ErrGoAway = errors.New("mux: the peer takes no more streams")

// Session is one connection that carries many streams. Either side opens them.
// It is a net.Listener. All its methods may be called concurrently.
type Session struct {
	carrier *carrier
	cfg     Config

	acceptable bell.Bell  // rings while streams are waiting, if anybody calls Accept
	done       bell.Latch // closed when the session has ended

	wtoken token.Token // the right to write a frame
	head   []byte      // scratch of the writer, which holds the token

	receiver
	firstStream
	unread atomic.Int64 // bytes in buffers, if there is a Budget

	mu       sync.Mutex
	err      error         // why the session ended; does not change after done
	streams  streamSet     // that either side has not closed
	nextID   uint32        // of the next stream that this side opens
	waiting  []*stream     // that the peer opened and Accept has not returned
	handling bool          // handle is running
	inbound  int           // streams that the peer opened
	lent     int           // of SessionWindow
	refused  bool          // a stream, for being one too many
	open     int           // streams that this side has not closed
	idle     chan struct{} // closed when open falls to 0; nil if nobody waits
	local    bool          // this side takes and opens no more streams
	remote   bool          // nor does the peer
	pings    map[uint32]chan struct{}
	nextPing uint32

	cmu      sync.Mutex
	control  []byte      // frames to be sent ahead of the next data
	provoked int         // how many bytes of them the peer has provoked
	owed     atomic.Bool // control is not empty
	flushing bool        // flushControl is running
	closing  bool        // no more goroutines may be started

	owned sync.WaitGroup // goroutines that Close waits for
}

// Client makes c a session in the client's role. The roles differ in nothing
// but the numbers of the streams that they open; the two ends must have
// different ones. The Session owns c from here on, unless there is an error.
func Client(c net.Conn, cfg *Config) (*Session, error) { return newSession(c, cfg, 1) }

// Server is Client for the other end.
func Server(c net.Conn, cfg *Config) (*Session, error) { return newSession(c, cfg, 2) }

func newSession(c net.Conn, cfg *Config, firstID uint32) (*Session, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Session{
		carrier: newCarrier(c),
		cfg:     full,
		nextID:  firstID,
	}
	if full.Handle == nil {
		s.acceptable.Line() // from here on it is heard
	}
	s.prepareReceiving() // Handle may have the first stream read at once
	var patience time.Duration
	if full.FirstStream {
		s.addFirst(firstID == 2)
		if firstID == 2 {
			patience = minPatience // it will be read at once
		}
	}
	s.startReceiving(patience)
	return s, nil
}

// Open opens a stream. It costs no round trip: a peer that refuses the stream
// resets it. The error is ErrGoAway if the peer is shutting down, and
// otherwise why the session ended. It does not block; ctx is looked at once.
func (s *Session) Open(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, s.err
	case s.remote:
		return nil, ErrGoAway
	case s.local:
		return nil, net.ErrClosed
	case s.nextID > 1<<32-3:
		return nil, ErrGoAway // numbers are used up: a new session has new ones
	}
	st := s.takeFirst()
	if st == nil {
		st = newStream(s, s.nextID, false)
		s.nextID += 2
		s.streams.add(st)
	}
	st.counted = true
	s.open++
	s.queue(header{typeWindow, flagSYN, st.id, st.grant()})
	return st, nil
}

// Accept returns the next stream that the peer opened. It returns
// net.ErrClosed after Close or Shutdown of this side, and otherwise why the
// session ended, io.EOF if the peer ended it in order. It is not for a session
// that has Config.Handle.
func (s *Session) Accept() (net.Conn, error) {
	s.beginWait()
	defer s.endWait()
	for {
		select {
		case <-s.acceptable.Line():
			if st := s.nextWaiting(); st != nil {
				return st, nil
			}
		case <-s.done.Done():
			return nil, s.err
		}
	}
}

// nextWaiting returns the stream that Accept is to return, nil if there is none.
func (s *Session) nextWaiting() *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.takeWaiting()
	if len(s.waiting) > 0 {
		s.acceptable.Ring() // for other calls
	}
	return st
}

// takeWaiting takes the stream that has waited longest, nil if there is none;
// s.mu is held.
func (s *Session) takeWaiting() *stream {
	if len(s.waiting) == 0 {
		return nil
	}
	st := s.waiting[0]
	if s.waiting = s.waiting[1:]; len(s.waiting) == 0 {
		s.waiting = nil
	}
	return st
}

// Ping measures the round-trip time to the peer's session, behind the data
// that is on its way already. ctx bounds the call.
func (s *Session) Ping(ctx context.Context) (time.Duration, error) {
	answered := make(chan struct{})
	s.mu.Lock()
	id := s.nextPing
	s.nextPing++
	if s.pings == nil {
		s.pings = map[uint32]chan struct{}{}
	}
	s.pings[id] = answered
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.pings, id)
		s.mu.Unlock()
	}()
	start := time.Now()
	s.queue(header{typePing, flagSYN, 0, id})
	s.beginWait()
	defer s.endWait()
	select {
	case <-answered:
		return time.Since(start), nil
	case <-s.done.Done():
		return 0, s.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// Shutdown tells the peer that no more streams are taken, opens none, waits
// until this side has closed all of its streams or ctx ends, and closes the
// session. It returns nil if every stream came to its own end.
func (s *Session) Shutdown(ctx context.Context) error {
	s.goAway()
	s.dropFirst()
	err := s.awaitIdle(ctx)
	if err == nil {
		s.drain(ctx)
	}
	return errors.Join(err, s.Close())
}

// goAway tells the peer once that no more streams are taken or opened.
func (s *Session) goAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.local {
		s.local = true
		s.queue(header{typeGoAway, 0, 0, goAwayNormal})
	}
}

// awaitIdle waits until this side has closed its streams or the session ended.
func (s *Session) awaitIdle(ctx context.Context) error {
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
	case <-s.done.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drain sends the control frames that are owed: the GoAway, and what closes
// the last streams.
func (s *Session) drain(ctx context.Context) {
	if !s.wtoken.Want() {
		select {
		case <-s.wtoken.Next():
		case <-s.done.Done():
			s.wtoken.Leave()
			return
		case <-ctx.Done():
			s.wtoken.Leave()
			return
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = s.carrier.Close() })
	defer stop()
	_ = s.writeControl()
}

// Close ends the session and the connection beneath at once. Calls in flight,
// of the session and of its streams, return net.ErrClosed. It is idempotent
// and waits for the session's goroutines.
func (s *Session) Close() error { return s.CloseWithError(net.ErrClosed) }

// CloseWithError is Close, with another error than net.ErrClosed for Err and
// for the calls in flight.
func (s *Session) CloseWithError(cause error) error {
	s.cmu.Lock()
	s.closing = true
	s.cmu.Unlock()
	s.fail(cause)
	s.stopReceiving()
	s.owned.Wait()
	return nil
}

// fail ends the session because of err, unless it has ended.
func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	for _, st := range s.streams.clear() {
		st.sessionEnded()
	}
	for _, st := range s.waiting {
		st.abandon()
	}
	s.waiting = nil
	if s.first != nil && !s.first.inbound { // nobody has opened it
		s.first.abandon()
	}
	s.done.Close()
	s.mu.Unlock()
	_ = s.carrier.Close()
	if s.cfg.Ended != nil {
		go s.cfg.Ended(s)
	}
	var violation protocolError
	if errors.As(err, &violation) {
		s.cfg.Logger.Warn("mux: session ended", "remote", s.RemoteAddr(), "err", err)
	}
}

// Done returns a channel that is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done.Done() }

// Err returns why the session ended, nil while it goes on: net.ErrClosed after
// Close, io.EOF if the peer ended it in order.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// errOr returns why the session ended, err while it goes on.
func (s *Session) errOr(err error) error {
	if ended := s.Err(); ended != nil {
		return ended
	}
	return err
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

// own registers a goroutine that Close waits for, unless the session is closed.
func (s *Session) own() bool {
	s.cmu.Lock()
	defer s.cmu.Unlock()
	if s.closing {
		return false
	}
	s.owned.Add(1)
	return true
}

var (
	_ net.Listener = (*Session)(nil)
	_ io.Closer    = (*Session)(nil)
)
