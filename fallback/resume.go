package fallback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"culvert/resume"
	"culvert/wsconn"
)

// lastWords is how long a tunnel that was closed has to tell its server.
const lastWords = 250 * time.Millisecond

// stream is what a tunnel's session will run on.
type stream struct {
	conn  *resume.Conn // nil if the server grants none: the WebSocket itself
	first *resume.Attachment
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
		name := resume.SessionName(answer)
		if name == "" {
			return d.WebSocket, nil
		}
		s.conn = resume.New(d.resumeConfig(), func(ctx context.Context, a *resume.Attachment) (resume.Carrier, uint64, error) {
			return d.redial(ctx, t, name, a)
		})
		s.first = s.conn.Prepare()
		return d.carrierConfig(s.first), nil
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

// resumeConfig returns the configuration of a stream.
func (d *Dialer) resumeConfig() *resume.Config {
	var cfg resume.Config
	if d.Resume != nil {
		cfg = *d.Resume
	}
	if cfg.FirstByteTimeout == 0 {
		cfg.FirstByteTimeout = d.FirstByteTimeout
	}
	if d.WebSocket != nil {
		if cfg.PingInterval == 0 {
			cfg.PingInterval = d.WebSocket.PingInterval
		}
		if cfg.SilenceTimeout == 0 {
			cfg.SilenceTimeout = d.WebSocket.SilenceTimeout
		}
	}
	return &cfg
}

// carrierConfig returns the configuration of a WebSocket that carries a stream
// with a heartbeat of its own.
func (d *Dialer) carrierConfig(a *resume.Attachment) *wsconn.Config {
	var cfg wsconn.Config
	if d.WebSocket != nil {
		cfg = *d.WebSocket
	}
	cfg.OnText = a.OnText
	cfg.PingInterval = -1
	return &cfg
}

// redial dials the next WebSocket of the session name, by whatever way the
// environment offers now.
func (d *Dialer) redial(ctx context.Context, t *target, name string, a *resume.Attachment) (resume.Carrier, uint64, error) {
	header, err := d.header(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("fallback: header for the upgrade: %w", err)
	}
	wd := d.webSocketDialer()
	wd.Header = header
	wd.Prepare = func(h http.Header) { a.Ask(h, name) }
	wd.Configure = func(http.Header) (*wsconn.Config, error) { return d.carrierConfig(a), nil }
	ws, err := wd.Dial(ctx, d.url(t.name))
	d.Trace.upgraded(t.name, err)
	if err != nil {
		d.logger().Info("fallback: tunnel not resumed yet", "target", t.name, "attempt", a.Attempt(), "err", err)
		var status *wsconn.StatusError
		if errors.As(err, &status) && status.Op == http.MethodGet {
			if refusal := resume.Refusal(status.StatusCode, status.Header, status.Body); refusal != nil {
				err = refusal
			}
		}
		return nil, 0, fmt.Errorf("fallback: tunnel to %s: %w", t.name, explainTLS(err))
	}
	received, err := resume.Received(ws.Header())
	if err != nil {
		ws.Abort()
		return nil, 0, err
	}
	d.logger().Debug("fallback: tunnel resumed", "target", t.name, "attempt", a.Attempt())
	return ws, received, nil
}

// letGo ends what was below the session, which was closed: the server is told
// that, if it can be.
func (l *link) letGo() {
	if l.stream == nil {
		return
	}
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-l.stream.Done():
	case <-timer.C:
	}
	l.stream.Abort()
}
