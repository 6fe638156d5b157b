package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"culvert/internal/ready"
	"culvert/mux"
	"culvert/resume"
)

// route is the HTTP/1.1 side of the port.
func (l *Listener) route(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		r.TLS, _ = r.Context().Value(tlsStateKey{}).(*tls.ConnectionState)
	}
	switch {
	case r.URL.Path == l.cfg.Path:
		l.ServeHTTP(w, r)
	case isGRPC(r):
		l.refuseDowngraded(w)
	default:
		l.cfg.Handler.ServeHTTP(w, r)
	}
}

// ServeHTTP makes an upgrade request a tunnel, whose streams Accept returns. A
// request that is none is refused with the status that says why.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isGRPC(r) {
		l.refuseDowngraded(w)
		return
	}
	subprotocol, refusal := l.upgrader.Check(r)
	if refusal != nil {
		linger(w)
		l.cfg.Logger.Info("listener: refused an upgrade", "remote", r.RemoteAddr, "err", refusal)
		refusal.Answer(w)
		return
	}
	q, err := resume.ParseRequest(r.Header)
	if err != nil {
		l.refuseResume(w, r, err)
		return
	}
	info := &Info{Tunnel: true, Header: r.Header.Clone()}
	if l.cfg.Authorize != nil {
		if info.Principal, err = l.cfg.Authorize(r); err != nil {
			l.cfg.Logger.Info("listener: not authorized", "remote", r.RemoteAddr, "err", err)
			if q.Name != "" {
				l.sessions.Refuse(w.Header())
			}
			answer(w, err)
			return
		}
	}
	if q.Name != "" {
		l.resume(w, r, q, ownerOf(r, info.Principal))
		return
	}
	if !l.reserve() {
		answer(w, &RefusedError{http.StatusServiceUnavailable, http.Header{"Retry-After": {"5"}},
			"no more tunnels are taken at the moment"})
		return
	}
	c, err := l.upgrade(w, r, q.New && subprotocol == ProtocolV1, ownerOf(r, info.Principal))
	if err != nil {
		l.release()
		l.cfg.Logger.Info("listener: upgrade failed", "remote", r.RemoteAddr, "err", err)
		return
	}
	t := &tunnel{listener: l, info: info, auth: authInfo(r.TLS), addr: uniqueAddr(c.RemoteAddr())}
	l.infos.Store(t.addr, info)
	if subprotocol == ProtocolRawV1 {
		go t.serveRaw(c)
		return
	}
	t.serve(c)
}

// reserve counts a tunnel, and the goroutine that will serve it, unless there
// are too many or the Listener is closed. One that has lost its WebSocket makes
// room: who only waits must not keep others out.
func (l *Listener) reserve() bool {
	l.mu.Lock()
	full := !l.closing && l.count >= l.cfg.MaxSessions
	l.mu.Unlock()
	evicted := full && l.sessions.Evict()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || l.count >= l.cfg.MaxSessions && !evicted {
		return false
	}
	l.count++
	l.owned.Add(1)
	return true
}

func (l *Listener) release() {
	l.mu.Lock()
	l.count--
	l.mu.Unlock()
	l.owned.Done()
}

// answer refuses a request with the status that err picks.
func answer(w http.ResponseWriter, err error) {
	refused := &RefusedError{StatusCode: http.StatusForbidden}
	errors.As(err, &refused)
	linger(w)
	h := w.Header()
	for key, values := range refused.Header {
		h[key] = values
	}
	h.Set("Connection", "close")
	http.Error(w, refused.Error(), refused.StatusCode)
}

// lingerTimeout is how long the body of a refused request may go on. It is
// read so long, and dropped, since a reset could overtake the answer.
const lingerTimeout = time.Second

// linger bounds how long the client can hold its connection after a refusal.
func linger(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTimeout))
}

// notFound is what Config.Handler is by default.
func notFound(w http.ResponseWriter, r *http.Request) {
	linger(w)
	http.NotFound(w, r)
}

// isGRPC reports whether r is a gRPC call that some hop turned into HTTP/1.1.
func isGRPC(r *http.Request) bool {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return mediaType == "application/grpc" || strings.HasPrefix(mediaType, "application/grpc+")
}

// refuseDowngraded answers a gRPC call that came over HTTP/1.1: the way is not
// HTTP/2 from end to end, and the tunnel is where to go. The answer does not
// wait for the body, and the connection is closed, since hops hold a call whose
// body goes on.
func (l *Listener) refuseDowngraded(w http.ResponseWriter) {
	linger(w)
	h := w.Header()
	h.Set("Culvert-Tunnel", l.cfg.Path)
	h.Set("Upgrade", "websocket")
	h["Connection"] = []string{"close", "Upgrade"} // net/http looks at the first: it must not wait for the body
	http.Error(w, "a hop in front turned this gRPC call into HTTP/1.1; use the tunnel at "+l.cfg.Path,
		http.StatusUpgradeRequired)
}

// tunnel is one session of a client, or one raw WebSocket.
type tunnel struct {
	listener *Listener
	info     *Info
	auth     credentials.AuthInfo
	addr     net.Addr // the client's, and the key of info
}

// serve makes c a session, whose streams are delivered until it ends.
func (t *tunnel) serve(c net.Conn) {
	l := t.listener
	var cfg mux.Config
	if l.cfg.Mux != nil {
		cfg = *l.cfg.Mux
	}
	cfg.FirstStream = t.info.Header.Get(headerFirstStream) == "1"
	cfg.Handle = func(s *mux.Session, st net.Conn) {
		l.deliver(&conn{Conn: st, Reader: ready.New(st), auth: t.auth, addr: t.addr}, s.Done())
	}
	started := make(chan struct{})
	cfg.Ended = func(s *mux.Session) {
		<-started
		_ = s.Close()
		l.untrack(s)
		l.cfg.Logger.Debug("listener: tunnel ended", "remote", t.addr, "err", s.Err())
		t.end(c)
	}
	s, err := mux.Server(c, &cfg)
	if err != nil {
		l.cfg.Logger.Error("listener: no session", "err", err)
		_ = c.Close()
		t.end(c)
		return
	}
	l.cfg.Logger.Debug("listener: tunnel opened", "remote", t.addr)
	l.track(s)
	close(started)
}

// serveRaw delivers c as one connection and waits for its end.
func (t *tunnel) serveRaw(c net.Conn) {
	raw := &rawConn{Conn: c, done: make(chan struct{})}
	t.listener.track(raw)
	defer t.end(c)
	defer t.listener.untrack(raw)
	t.listener.deliver(&conn{Conn: raw, Reader: ready.New(raw), auth: t.auth, addr: t.addr}, nil)
	<-raw.done
}

// end forgets the tunnel, which c carried.
func (t *tunnel) end(c net.Conn) {
	if rc, ok := c.(*resume.Conn); ok {
		rc.Shutdown()
	}
	t.listener.infos.Delete(t.addr)
	t.listener.release()
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

// track registers c for Close, which may have been called already.
func (l *Listener) track(c carrier) {
	l.mu.Lock()
	l.carriers[c] = struct{}{}
	closing := l.closing
	l.mu.Unlock()
	if closing {
		_ = c.Close()
	}
}

func (l *Listener) untrack(c carrier) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.carriers, c)
}
