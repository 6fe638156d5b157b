package listener

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"culvert/internal/clientaddr"
	"culvert/resume"
)

// route is the HTTP/1.1 side of the port.
func (l *Listener) route(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(webConnKey{}).(*sniffed)
	l.handshakes.end(c.handshake)
	r.TLS = tlsState(c)
	switch {
	case r.URL.EscapedPath() == l.path:
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
		l.counters.requests.Add(1)
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
	r = l.withoutCookies(r)
	info := &Info{Tunnel: true, Header: r.Header.Clone()}
	if l.cfg.Authorize != nil {
		if info.Principal, err = l.authorize(r); err != nil {
			l.cfg.Logger.Info("listener: not authorized", "remote", r.RemoteAddr, "err", err)
			if q.Name != "" {
				l.sessions.Refuse(w.Header())
			}
			answer(w, err)
			return
		}
	}
	if q.Name != "" {
		l.resume(w, r, q, l.ownerOf(r, info.Principal))
		return
	}
	l.open(w, r, info, q, subprotocol == ProtocolRawV1)
}

// authorize calls Config.Authorize, unless it runs too often at the moment.
func (l *Listener) authorize(r *http.Request) (principal any, err error) {
	if !l.beginAuthorizing() {
		return nil, &RefusedError{http.StatusServiceUnavailable, http.Header{"Retry-After": {"5"}}, errAuthorizes.Error()}
	}
	defer l.authorizing.Add(-1)
	if principal, err = l.cfg.Authorize(r); err != nil {
		l.counters.unauthorized.Add(1)
	}
	return principal, err
}

// open makes w a new tunnel, one that the client can resume if it asks for that,
// or a raw connection.
func (l *Listener) open(w http.ResponseWriter, r *http.Request, info *Info, q resume.Request, raw bool) {
	t := &tunnel{listener: l, info: info, owner: l.ownerOf(r, info.Principal), raw: raw, auth: authInfo(r.TLS)}
	var err error
	if t.protected, err = l.wantsInner(r, raw); err == nil {
		err = l.reserve(t.owner)
	}
	if err != nil {
		l.cfg.Logger.Info("listener: no tunnel", "remote", r.RemoteAddr, "err", err)
		answer(w, err)
		return
	}
	if t.carrier, err = l.upgrade(w, r, t, q); err != nil {
		l.release(t.owner)
		l.cfg.Logger.Info("listener: upgrade failed", "remote", r.RemoteAddr, "err", err)
		return
	}
	l.counters.opened.Add(1)
	t.addr = l.clientAddr(r, t.carrier)
	l.infos.Store(t.addr, info)
	switch {
	case raw:
		go t.serveRaw()
	case t.protected:
		go t.protect()
	default:
		t.serve(t.carrier)
	}
}

// withoutCookies returns r as it may be authorized: cookies go with whatever a
// browser asks for, and are no credential.
func (l *Listener) withoutCookies(r *http.Request) *http.Request {
	if l.cfg.Cookies || r.Header["Cookie"] == nil {
		return r
	}
	bare := *r
	bare.Header = r.Header.Clone()
	bare.Header.Del("Cookie")
	return &bare
}

// clientAddr returns the address of who sent r, on c, as far as the proxies
// between are trusted. No other tunnel has the same pointer.
func (l *Listener) clientAddr(r *http.Request, c net.Conn) net.Addr {
	client, ok := l.resolve(r)
	if !ok {
		return uniqueAddr(c.RemoteAddr())
	}
	return net.TCPAddrFromAddrPort(client)
}

// resolve returns the address of who sent r. It reports false if there is none,
// as on a unix socket on which no proxy is trusted.
func (l *Listener) resolve(r *http.Request) (netip.AddrPort, bool) {
	trusted := l.cfg.TrustedProxies
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	local := err != nil
	if local {
		if len(trusted) == 0 {
			return netip.AddrPort{}, false
		}
		peer = netip.AddrPortFrom(netip.IPv6Unspecified(), 0) // of who is on the socket
		trusted = append(slices.Clip(trusted), netip.PrefixFrom(peer.Addr(), peer.Addr().BitLen()))
	}
	client := clientaddr.Resolve(peer, r.Header, l.cfg.ForwardedHeader, trusted)
	return client, !local || client != peer
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
func isGRPC(r *http.Request) bool { return isGRPCType(r.Header.Get("Content-Type")) }

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
