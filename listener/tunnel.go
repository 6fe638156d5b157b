package listener

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"culvert/internal/inner"
	"culvert/internal/ready"
	"culvert/mux"
	"culvert/resume"
)

// tunnel is one session of a client, or one raw WebSocket.
type tunnel struct {
	listener  *Listener
	info      *Info
	carrier   net.Conn // beneath the session, or inner TLS
	auth      credentials.AuthInfo
	addr      net.Addr // the client's, and the key of info
	owner     owner
	raw       bool
	protected bool // with inner TLS
	streams   tunnelStreams
	beat      beat
}

// protect does inner TLS, and then serves.
func (t *tunnel) protect() {
	l := t.listener
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.HandshakeTimeout)
	defer cancel()
	go func() {
		select {
		case <-l.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	c, err := inner.Server(ctx, t.carrier, l.cfg.InnerTLS)
	if err != nil {
		l.counters.innerTLS.Add(1)
		l.cfg.Logger.Info("listener: tunnel refused", "remote", t.addr, "err", err)
		t.end()
		return
	}
	state := c.ConnectionState()
	t.auth = authInfo(&state)
	t.serve(c)
}

// serve makes c a session, whose streams are delivered until it ends.
func (t *tunnel) serve(c net.Conn) {
	l := t.listener
	var cfg mux.Config
	if l.cfg.Mux != nil {
		cfg = *l.cfg.Mux
	}
	if cfg.Budget == nil {
		cfg.Budget = l.unread
	}
	cfg.FirstStream = t.info.Header.Get(headerFirstStream) == "1"
	cfg.MaxStreams = l.maxStreams()
	cfg.Handle = t.handle
	var starting sync.Mutex
	starting.Lock() // until stop is there
	var stop func()
	cfg.Ended = func(s *mux.Session) {
		starting.Lock()
		stop()
		_ = s.Close()
		l.untrack(s)
		l.cfg.Logger.Debug("listener: tunnel ended", "remote", t.addr, "err", s.Err())
		t.end()
	}
	s, err := mux.Server(c, &cfg)
	if err != nil {
		l.cfg.Logger.Error("listener: no session", "err", err)
		t.end()
		return
	}
	l.cfg.Logger.Debug("listener: tunnel opened", "remote", t.addr)
	l.track(s)
	stop = l.limitAge(s)
	starting.Unlock()
	t.beat.of(t, s)
}

// handle delivers a stream of a session, unless there are too many in all.
func (t *tunnel) handle(s *mux.Session, st net.Conn) {
	l := t.listener
	if !l.streams.open(t) {
		l.cfg.Logger.Debug("listener: refused a stream", "remote", t.addr)
		_ = mux.Reset(st)
		return
	}
	counted := &countedStream{Conn: st, tunnel: t}
	l.deliver(&conn{Conn: counted, Reader: ready.New(st), auth: t.auth, addr: t.addr}, s.Done)
}

// serveRaw delivers the WebSocket as one connection and waits for its end.
func (t *tunnel) serveRaw() {
	raw := &rawConn{Conn: t.carrier, done: make(chan struct{})}
	t.listener.track(raw)
	defer t.end()
	defer t.listener.untrack(raw)
	defer t.listener.limitAge(raw)()
	t.listener.deliver(&conn{Conn: raw, Reader: ready.New(raw), auth: t.auth, addr: t.addr}, nil)
	<-raw.done
}

// end ends what carried the tunnel, and forgets it.
func (t *tunnel) end() {
	if rc, ok := t.carrier.(*resume.Conn); ok {
		rc.Shutdown()
	} else {
		_ = t.carrier.Close()
	}
	t.listener.infos.Delete(t.addr)
	t.listener.release(t.owner)
}

// limitAge ends c, in order if that is possible, when it has reached its age,
// unless stop is called.
func (l *Listener) limitAge(c carrier) (stop func()) {
	if l.cfg.MaxSessionAge <= 0 {
		return func() {}
	}
	timer := time.AfterFunc(l.cfg.MaxSessionAge, func() {
		ctx, cancel := context.WithTimeout(context.Background(), l.cfg.MaxSessionAgeGrace)
		defer cancel()
		_ = c.Shutdown(ctx)
	})
	return func() { timer.Stop() }
}

// rawConn is a WebSocket that is one connection.
type rawConn struct {
	net.Conn

	once sync.Once
	done chan struct{} // closed by Close
}

// Close implements net.Conn.
func (r *rawConn) Close() error {
	err := r.Conn.Close()
	r.once.Do(func() { close(r.done) })
	return err
}

// Shutdown waits until whoever accepted the connection closes it.
func (r *rawConn) Shutdown(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return r.Close()
	}
}

// carrier is what Close and Shutdown have to do with a tunnel.
type carrier interface {
	Shutdown(ctx context.Context) error
	Close() error
}

// track registers c for Close, which may have been called already: when a stream
// of it was handed out, for it is at work before it is tracked.
func (l *Listener) track(c carrier) {
	l.mu.Lock()
	l.carriers[c] = struct{}{}
	if l.closing && !l.cut {
		l.endInOrder(c)
	}
	cut := l.cut
	l.mu.Unlock()
	if cut {
		_ = c.Close()
	}
}

func (l *Listener) untrack(c carrier) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.carriers, c)
}
