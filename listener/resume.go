package listener

import (
	"errors"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"culvert/internal/inner"
	"culvert/internal/maxframe"
	"culvert/resume"
	"culvert/wsconn"
)

// newSessions returns the streams that clients may resume.
func (c *Config) newSessions() *resume.Sessions {
	cfg := c.Resume
	if c.WebSocket != nil { // the heartbeat is not of the WebSocket then
		cfg = cfg.WithHeartbeat(c.WebSocket.PingInterval, c.WebSocket.SilenceTimeout)
	}
	s := &resume.Sessions{Config: cfg, Max: c.MaxResumable, MaxReplay: c.MaxReplay}
	s.Key = func(principal any) any { return keyOf(principal.(owner).principal) }
	s.Group = func(principal any) any { return principal.(owner).group() }
	s.Same = func(opened, resumes any) bool { return c.isSame(opened.(owner), resumes.(owner)) }
	return s
}

// upgrade makes w the connection of t: one that outlives its WebSocket if q asks
// for that and there is room, else the WebSocket itself.
func (l *Listener) upgrade(w http.ResponseWriter, r *http.Request, t *tunnel, q resume.Request) (net.Conn, error) {
	u := l.upgrader
	u.Header = http.Header{}
	l.sessions.Refuse(u.Header) // who answers
	if !t.raw {
		u.Header.Set(headerMaxStreams, strconv.Itoa(l.maxStreams()))
	}
	if t.protected {
		u.Header.Set(inner.Header, "1")
	}
	c := l.openSession(t, q, u.Header)
	if c == nil {
		return u.Upgrade(w, r)
	}
	a := c.Prepare()
	u.Config = l.webSocket(r, a)
	ws, err := u.Upgrade(w, r)
	if err == nil {
		err = a.Attach(ws, 0)
	}
	if err != nil && (ws == nil || c.Err() != nil) {
		c.Abort()
		return nil, err
	}
	return c, nil // even if the WebSocket was cut, and the next one attached, by now
}

// openSession opens a session for t and names it in h, the header of the answer.
// It returns nil if there is to be none.
func (l *Listener) openSession(t *tunnel, q resume.Request, h http.Header) *resume.Conn {
	if !q.New || t.raw || l.cfg.DisableResume {
		return nil
	}
	c, name := l.sessions.Open(t.owner)
	if c == nil {
		return nil
	}
	maps.Copy(h, l.sessions.Answer(name))
	c.Watch(resume.Watcher{
		Cut:     func() time.Duration { return l.streams.detach(t) },
		Resumed: func() { l.streams.attach(t) },
		Plain: func() {
			l.cfg.Logger.Info("listener: tunnel cannot be resumed: a hop dropped Culvert-Session", "remote", t.addr)
			t.beat.want(t)
		},
	})
	if q.Confirm {
		c.AwaitConfirmation()
	}
	return c
}

// wantsInner reports whether r asks for a tunnel with inner TLS, and returns why
// it cannot have what it asks for.
func (l *Listener) wantsInner(r *http.Request, raw bool) (bool, error) {
	asks := r.Header.Get(inner.Header) == "1" && l.cfg.InnerTLS != nil && !raw
	if l.cfg.RequireInnerTLS && !asks {
		l.counters.innerTLS.Add(1)
		return false, &RefusedError{
			StatusCode: http.StatusBadRequest,
			Reason: "this server wants TLS inside the tunnel: the request has no " + inner.Header +
				": set InnerTLS, or find the hop that drops this field",
		}
	}
	return asks, nil
}

// resume makes w the next WebSocket of the session that q names.
func (l *Listener) resume(w http.ResponseWriter, r *http.Request, q resume.Request, o owner) {
	a, err := l.sessions.Resume(q, o)
	if err != nil {
		l.refuseResume(w, r, err)
		return
	}
	u := l.upgrader
	u.Header = l.sessions.Resumed(a)
	u.Config = l.webSocket(r, a)
	ws, err := u.Upgrade(w, r)
	if err == nil {
		err = a.Attach(ws, q.Offset)
	} else {
		a.Abandon()
	}
	if err != nil {
		l.cfg.Logger.Info("listener: session not resumed", "remote", r.RemoteAddr, "err", err)
		return
	}
	l.counters.resumed.Add(1)
	l.cfg.Logger.Debug("listener: session resumed", "remote", r.RemoteAddr, "attempt", q.Attempt)
}

// refuseResume answers a request to resume with the status that err picks.
func (l *Listener) refuseResume(w http.ResponseWriter, r *http.Request, err error) {
	l.counters.resumes.Add(1)
	l.cfg.Logger.Info("listener: refused to resume a session", "remote", r.RemoteAddr, "err", err)
	refused := &resume.RefusedError{StatusCode: http.StatusNotFound}
	errors.As(err, &refused)
	l.sessions.Refuse(w.Header())
	h := http.Header{}
	if refused.StatusCode == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
	}
	answer(w, &RefusedError{refused.StatusCode, h, refused.Reason})
}

// Renew asks the clients of all tunnels that can be resumed for a new WebSocket
// each, soon: before a proxy in front is restarted, or this node is taken out
// of a balancer. No RPC notices.
func (l *Listener) Renew() { l.sessions.Drain() }

// webSocket returns the configuration of the WebSocket that r asks for as the
// carrier of a: with frames as short as the client wants them.
func (l *Listener) webSocket(r *http.Request, a *resume.Attachment) *wsconn.Config {
	cfg := l.cfg.WebSocket.WithTexts(a.OnText)
	cfg.MaxFrame = maxframe.Cap(cfg.MaxFrame, maxframe.Asked(r.Header))
	return cfg
}
