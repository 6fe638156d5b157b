package fallback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"culvert/resume"
	"culvert/wsconn"
)

// stream is what a tunnel's session will run on.
type stream struct {
	conn     *resume.Conn // nil if the server grants none: the WebSocket itself
	first    *resume.Attachment
	name     string // under which the server has it
	instance string // of the server that granted it
	cookies  cookies
}

// askResume has wd ask for a session that outlives its WebSocket, unless the
// Dialer does not want one.
func (d *Dialer) askResume(t *target, wd *wsconn.Dialer) *stream {
	s := &stream{}
	if d.DisableResume {
		return s
	}
	resume.AskSession(wd.Header)
	wd.Configure = func(answer http.Header) (*wsconn.Config, error) {
		s.name, s.instance = resume.SessionName(answer), resume.Instance(answer)
		if s.name == "" {
			return d.WebSocket, nil
		}
		if u, err := d.url(t.dest); err == nil {
			s.cookies.keep(u, answer)
		}
		s.conn = resume.New(d.resumeConfig(), func(ctx context.Context, a *resume.Attachment) (resume.Carrier, uint64, error) {
			return d.redial(ctx, t, s, a)
		})
		s.first = s.conn.Prepare()
		return d.WebSocket.WithTexts(s.first.OnText), nil
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
func (d *Dialer) resumeConfig() *resume.Config {
	cfg := d.Resume.WithHeartbeat(0, 0)
	if d.WebSocket != nil {
		cfg = d.Resume.WithHeartbeat(d.WebSocket.PingInterval, d.WebSocket.SilenceTimeout)
	}
	cfg.FirstByteTimeout = orDefault(cfg.FirstByteTimeout, d.FirstByteTimeout)
	return cfg
}

// redial dials the next WebSocket of the session s, by whatever way the
// environment offers now.
func (d *Dialer) redial(ctx context.Context, t *target, s *stream, a *resume.Attachment) (resume.Carrier, uint64, error) {
	if err := s.conn.Trouble(); err != nil {
		d.logger().Info("fallback: the tunnel is cut as soon as it is resumed", "target", t.name, "attempt", a.Attempt(), "err", err)
	}
	header, err := d.header(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("fallback: header for the upgrade: %w", err)
	}
	u, err := d.url(t.dest)
	if err != nil {
		return nil, 0, err
	}
	wd := d.webSocketDialer()
	if wd.Header = header.Clone(); header == nil {
		wd.Header = http.Header{}
	}
	s.cookies.add(u, wd.Header)
	wd.Prepare = func(h http.Header) { a.Ask(h, s.name) }
	wd.Configure = func(http.Header) (*wsconn.Config, error) { return d.WebSocket.WithTexts(a.OnText), nil }
	ws, err := t.upgrade(ctx, wd, nil)
	d.Trace.upgraded(t.name, err)
	if err != nil {
		d.logger().Info("fallback: tunnel not resumed yet", "target", t.name, "attempt", a.Attempt(), "err", err)
		var status *wsconn.StatusError
		if errors.As(err, &status) && status.Op == http.MethodGet {
			refusal := resume.Refusal(s.instance, status.StatusCode, status.Header, status.Body)
			if refusal != nil {
				err = refusal
			}
			var elsewhere *resume.ElsewhereError
			if !errors.As(err, &elsewhere) { // whose cookie would lead there again
				s.cookies.keep(u, status.Header)
			}
		}
		return nil, 0, fmt.Errorf("fallback: tunnel to %s: %w", t.name, err)
	}
	s.cookies.keep(u, ws.Header())
	received, err := resume.Received(ws.Header())
	if err != nil {
		ws.Abort()
		return nil, 0, err
	}
	d.logger().Debug("fallback: tunnel resumed", "target", t.name, "attempt", a.Attempt())
	return ws, received, nil
}
