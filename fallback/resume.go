package fallback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"

	"culvert/internal/cookies"
	"culvert/internal/maxframe"
	"culvert/resume"
	"culvert/wsconn"
)

// stream is what a tunnel's session will run on.
type stream struct {
	conn  *resume.Conn // nil if the server grants none: the WebSocket itself
	first *resume.Attachment
}

// session is what a client remembers of a tunnel that outlives its WebSocket. But
// for frames, it belongs to who dials, of whom there is one at a time.
type session struct {
	dialer *Dialer
	target *target
	grant  resume.Grant

	// cookies are those of the session's own answers: a new tunnel starts from
	// none, so that it is the balancer's to choose a server for it.
	cookies cookies.Session
	frames  *maxframe.Limit
}

// askResume has wd ask for a session that outlives its WebSocket, unless the
// Dialer does not want one.
func (d *Dialer) askResume(t *target, wd *wsconn.Dialer) *stream {
	s := &stream{}
	frames := t.frameLimit()
	limit := frames.Get()
	maxframe.Ask(wd.Header, limit)
	wd.Config = limited(d.WebSocket, limit)
	if d.DisableResume {
		return s
	}
	resume.AskSession(wd.Header)
	wd.Configure = func(answer http.Header) (*wsconn.Config, error) {
		grant := resume.Granted(answer)
		if grant.Name == "" {
			return limited(d.WebSocket, limit), nil
		}
		se := &session{dialer: d, target: t, grant: grant, frames: frames}
		if u, err := d.url(t.dest); err == nil {
			se.cookies.Granted(u, answer)
		}
		s.conn = resume.New(se.resumeConfig(), se.redial)
		s.first = s.conn.Prepare()
		return limited(d.WebSocket.WithTexts(s.first.OnText), limit), nil
	}
	return s
}

// over returns what the session runs on, with ws as its first carrier.
func (s *stream) over(ws *wsconn.Conn) (net.Conn, error) {
	if s.conn == nil {
		return ws, nil
	}
	return s.conn, s.first.Attach(ws, 0)
}

// giveUp ends what over returned, or what runs on it.
func (s *stream) giveUp(c net.Conn) {
	if s.conn != nil {
		s.conn.Shutdown()
	} else {
		_ = c.Close()
	}
}

// resumeConfig returns the configuration of a stream.
func (s *session) resumeConfig() *resume.Config {
	d := s.dialer
	cfg := d.Resume.WithHeartbeat(0, 0)
	if d.WebSocket != nil {
		cfg = d.Resume.WithHeartbeat(d.WebSocket.PingInterval, d.WebSocket.SilenceTimeout)
	}
	cfg.FirstByteTimeout = orDefault(cfg.FirstByteTimeout, d.FirstByteTimeout)
	cfg.Observe = s.observe(cfg.Observe)
	return cfg
}

// observe returns hooks that learn what next is told.
func (s *session) observe(next *resume.Observer) *resume.Observer {
	var o resume.Observer
	if next != nil {
		o = *next
	}
	cut, useless := o.Cut, o.Useless
	o.Cut = func(err error) {
		if isTooLarge(err) {
			s.frames.TooLarge(s.dialer.maxFrame())
		}
		if cut != nil {
			cut(err)
		}
	}
	o.Useless = func(n int, err error) {
		if !isTooLarge(err) { // which Cut is told of too
			s.frames.Useless(n, s.dialer.maxFrame())
		}
		s.dialer.logger().Warn("fallback: WebSocket accepted and cut", "target", s.target.name, "in_a_row", n, "err", err)
		if useless != nil {
			useless(n, err)
		}
	}
	return &o
}

// redial dials the next WebSocket of the session, by whatever way the
// environment offers now.
func (s *session) redial(ctx context.Context, a *resume.Attachment) (resume.Carrier, uint64, error) {
	d, t := s.dialer, s.target
	header, err := d.header(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("fallback: header for the upgrade: %w", err)
	}
	u, err := d.url(t.dest)
	if err != nil {
		return nil, 0, err
	}
	if a.Stuck() >= 2 {
		s.frames.TooLarge(d.maxFrame())
	}
	limit := s.frames.Get()
	wd := d.webSocketDialer()
	wd.Header = header
	wd.Prepare = func(h http.Header) {
		a.Ask(h, s.grant.Name)
		maxframe.Ask(h, limit)
		s.cookies.Add(u, h)
	}
	wd.Configure = func(answer http.Header) (*wsconn.Config, error) {
		s.cookies.Granted(u, answer)
		return limited(d.WebSocket.WithTexts(a.OnText), limit), nil
	}
	ws, err := t.upgrade(ctx, wd, nil)
	d.Trace.upgraded(t.name, err)
	if err != nil {
		err = fmt.Errorf("fallback: tunnel to %s: %w", t.name, s.refusal(u, err))
		d.logger().Log(ctx, levelOf(err), "fallback: tunnel not resumed yet", "target", t.name, "attempt", a.Attempt(), "err", err)
		return nil, 0, err
	}
	received, err := resume.Received(ws.Header())
	if err != nil {
		ws.Abort()
		return nil, 0, fmt.Errorf("fallback: tunnel to %s: %w", t.name, err)
	}
	d.logger().Debug("fallback: tunnel resumed", "target", t.name, "attempt", a.Attempt())
	return ws, received, nil
}

// refusal returns what err, of a request to u, means to the session. Cookies of
// those who do not have the session would lead to them again.
func (s *session) refusal(u *url.URL, err error) error {
	var status *wsconn.StatusError
	if !errors.As(err, &status) || status.Op != http.MethodGet {
		return err
	}
	if status.StatusCode != http.StatusNotFound {
		s.cookies.Refused(u, status.Header)
	}
	if meaning := s.grant.Refusal(status.StatusCode, status.Header, status.Body); meaning != nil {
		return &refusalError{meaning, status}
	}
	return err
}

// levelOf returns at which level to log err: there may be many refusals of other
// servers in a short time.
func levelOf(err error) slog.Level {
	var retry *resume.RetryError
	if errors.As(err, &retry) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// refusalError is an answer, and what it means to a session.
type refusalError struct {
	meaning error
	status  *wsconn.StatusError
}

func (e *refusalError) Error() string { return e.meaning.Error() }

// Unwrap returns both.
func (e *refusalError) Unwrap() []error { return []error{e.meaning, e.status} }

// limited returns c, which may be nil, with frames within limit unless it is 0.
func limited(c *wsconn.Config, limit int) *wsconn.Config {
	if limit == 0 {
		return c
	}
	var r wsconn.Config
	if c != nil {
		r = *c
	}
	r.MaxFrame = maxframe.Cap(r.MaxFrame, limit)
	return &r
}

// maxFrame returns how long frames may be if no hop has refused one.
func (d *Dialer) maxFrame() int {
	if d.WebSocket == nil {
		return 0
	}
	return d.WebSocket.MaxFrame
}

// isTooLarge reports whether err says that a hop, or the server, refused a frame
// or message for its size.
func isTooLarge(err error) bool {
	var closed *wsconn.CloseError
	return errors.As(err, &closed) && closed.Code == wsconn.CloseMessageTooBig
}

// frameLimit returns how large frames to t may be.
func (t *target) frameLimit() *maxframe.Limit { return &t.frames }
