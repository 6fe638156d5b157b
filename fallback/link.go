package fallback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"culvert/internal/ready"
	"culvert/mux"
	"culvert/resume"
)

// link is one tunnel: a session, and what carries it.
type link struct {
	target  *target
	session *mux.Session
	stream  *resume.Conn // beneath the session; nil if that ends with its WebSocket
	auth    credentials.AuthInfo
	proven  chan struct{} // closed when a frame came back
	born    time.Time

	mu      sync.Mutex
	streams int  // open ones, and claims
	limit   int  // of streams
	pinned  bool // somebody has the Session
	retired bool // takes no more streams
	idle    *time.Timer
}

// newLink takes over a session, watches over it, and checks that frames pass.
func newLink(t *target, s *mux.Session, auth credentials.AuthInfo, stream *resume.Conn, limit int) *link {
	l := &link{target: t, session: s, stream: stream, auth: auth, limit: limit, proven: make(chan struct{}), born: time.Now()}
	t.enter()
	l.claim()
	l.release() // which starts the clock
	t.dialer.spawn(l.awaitEnd)
	t.dialer.spawn(l.prove)
	return l
}

// awaitEnd stops the use of a session that has ended.
func (l *link) awaitEnd() {
	<-l.session.Done()
	err := l.session.Err()
	if isTooLarge(err) {
		l.target.frames.TooLarge(l.target.dialer.maxFrame())
	}
	l.target.drop(l, fmt.Errorf("the tunnel was lost: %w", err))
	_ = l.session.Close()
	if l.stream != nil {
		l.stream.Shutdown()
	}
	l.target.leave()
	if !errors.Is(err, net.ErrClosed) {
		l.target.dialer.logger().Info("fallback: tunnel lost", "target", l.target.name, "err", err)
	}
}

// prove pings the server. A tunnel on which nothing comes back is closed: a
// proxy relayed the 101 and no frames.
func (l *link) prove() {
	timeout := orDefault(l.target.dialer.FirstByteTimeout, defaultFirstByteTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err := l.session.Ping(ctx)
	switch {
	case err == nil:
		close(l.proven)
		l.target.proven(l)
		l.target.dialer.Trace.proven(l.target.name)
	case ctx.Err() != nil:
		_ = l.session.CloseWithError(fmt.Errorf(
			"the upgrade was answered with 101, but no frame came within %v: a proxy on the way does not relay WebSockets", timeout))
	}
}

// proof waits until the tunnel has proven to work.
func (l *link) proof(ctx context.Context) error {
	select {
	case <-l.proven:
		return nil
	case <-l.session.Done():
		return l.session.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isProven reports whether it has.
func (l *link) isProven() bool {
	select {
	case <-l.proven:
		return true
	default:
		return false
	}
}

// load returns how many streams the link has, and whether it takes another.
func (l *link) load() (streams int, room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams, !l.retired && l.streams < l.limit
}

// claim keeps the link from being closed, and room for a stream, until open or
// release. It reports false if that is too late.
func (l *link) claim() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired || l.streams >= l.limit {
		return false
	}
	l.streams++
	return true
}

// open opens a stream, for which the link was claimed.
func (l *link) open(ctx context.Context) (*conn, error) {
	c, err := l.session.Open(ctx)
	if err != nil {
		l.release()
		return nil, err
	}
	return l.target.own(&conn{Conn: c, Reader: ready.New(c), auth: l.auth, onClose: func() {
		if mux.WasRefused(c) {
			l.lowerLimit()
		}
		l.release()
	}}), nil
}

// lowerLimit learns from a stream that the server refused how many it takes,
// where a hop has dropped the field that says so.
func (l *link) lowerLimit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = max(1, min(l.limit, l.streams-1))
}

// unclaim gives up a claim that led to no stream: a link that nobody uses is
// closed at once.
func (l *link) unclaim() {
	l.release()
	l.onIdle()
}

// release ends a stream. The last one starts the clock.
func (l *link) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
	timeout := orDefault(l.target.dialer.IdleTimeout, defaultIdleTimeout)
	switch {
	case l.streams > 0 || l.pinned || l.retired || timeout < 0:
	case l.idle == nil:
		l.idle = time.AfterFunc(timeout, l.onIdle)
	default:
		l.idle.Reset(timeout)
	}
}

// onIdle closes a tunnel that nobody uses.
func (l *link) onIdle() {
	l.mu.Lock()
	unused := l.streams == 0 && !l.pinned
	l.retired = l.retired || unused
	l.mu.Unlock()
	if unused && l.target.dialer.own() {
		defer l.target.dialer.owned.Done()
		l.target.forget(l)
		_ = l.session.Close()
	}
}

// retire lets the session end with its last stream.
func (l *link) retire() {
	l.mu.Lock()
	already := l.retired
	l.retired = true
	if l.idle != nil {
		l.idle.Stop() // it would keep all of the tunnel in memory
	}
	l.mu.Unlock()
	if already {
		return
	}
	l.target.dialer.spawn(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_ = l.session.Shutdown(ctx) // Close of the session or the Dialer cuts it short
	})
}

// pin keeps the tunnel open without streams.
func (l *link) pin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pinned = true
}
