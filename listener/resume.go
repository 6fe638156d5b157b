package listener

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"reflect"

	"culvert/internal/inner"
	"culvert/resume"
)

// newSessions returns the streams that clients may resume.
func (c *Config) newSessions() *resume.Sessions {
	cfg := c.Resume
	if c.WebSocket != nil { // the heartbeat is not of the WebSocket then
		cfg = cfg.WithHeartbeat(c.WebSocket.PingInterval, c.WebSocket.SilenceTimeout)
	}
	s := &resume.Sessions{Config: cfg, Max: c.MaxResumable, MaxReplay: c.MaxReplay}
	s.Key = func(principal any) any { return keyOf(principal.(owner).principal) }
	s.Same = func(opened, resumes any) bool {
		a, b := opened.(owner), resumes.(owner)
		if same := c.SamePrincipal; same != nil {
			return same(a.who(), b.who())
		}
		return reflect.DeepEqual(a.principal, b.principal) && a.certificate.Equal(b.certificate)
	}
	return s
}

// owner is whose a session is.
type owner struct {
	principal   any
	certificate *x509.Certificate // of the client, nil if it showed none in TLS
}

func ownerOf(r *http.Request, principal any) owner {
	o := owner{principal: principal}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		o.certificate = r.TLS.PeerCertificates[0]
	}
	return o
}

// who returns what SamePrincipal gets.
func (o owner) who() any {
	if o.principal == nil && o.certificate != nil {
		return o.certificate
	}
	return o.principal
}

// upgrade makes w a tunnel's connection: one that outlives its WebSocket if the
// client asks for that and there is room, else the WebSocket itself.
func (l *Listener) upgrade(w http.ResponseWriter, r *http.Request, protected, asks bool, o owner) (net.Conn, error) {
	var c *resume.Conn
	u := l.upgrader
	u.Header = http.Header{}
	if asks && !l.cfg.DisableResume {
		var name string
		if c, name = l.sessions.Open(o); c != nil {
			u.Header = l.sessions.Answer(name)
		}
	}
	if protected {
		u.Header.Set(inner.Header, "1")
	}
	if c == nil {
		return u.Upgrade(w, r)
	}
	a := c.Prepare()
	u.Config = l.cfg.WebSocket.WithTexts(a.OnText)
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

// wantsInner reports whether r asks for a tunnel with inner TLS, and returns why
// it cannot have what it asks for.
func (l *Listener) wantsInner(r *http.Request, raw bool) (bool, error) {
	asks := r.Header.Get(inner.Header) == "1" && l.cfg.InnerTLS != nil && !raw
	if l.cfg.RequireInnerTLS && !asks {
		l.counters.innerTLS.Add(1)
		return false, &RefusedError{StatusCode: http.StatusBadRequest, Reason: "this server wants TLS inside the tunnel: set InnerTLS"}
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
	u.Config = l.cfg.WebSocket.WithTexts(a.OnText)
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
	answer(w, &RefusedError{StatusCode: refused.StatusCode, Reason: refused.Reason})
}

// Renew asks the clients of all tunnels that can be resumed for a new WebSocket
// each, soon: before a proxy in front is restarted, or this node is taken out
// of a balancer. No RPC notices.
func (l *Listener) Renew() { l.sessions.Drain() }
