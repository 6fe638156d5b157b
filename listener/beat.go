package listener

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"culvert/mux"
)

var errSilent = errors.New("listener: the client answered no ping")

// beat pings the client of a tunnel that was to outlive its WebSocket, when it
// turns out that it does not: the WebSocket has no heartbeat then.
type beat struct {
	mu      sync.Mutex
	session *mux.Session
	wanted  bool
}

// of says what is to be pinged.
func (b *beat) of(t *tunnel, s *mux.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session = s
	b.begin(t)
}

// want says that there shall be pings.
func (b *beat) want(t *tunnel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = true
	b.begin(t)
}

func (b *beat) begin(t *tunnel) {
	if b.wanted && b.session != nil {
		go t.listener.ping(b.session)
	}
}

// Defaults of wsconn.Config, which they are.
const (
	defaultPingInterval   = 20 * time.Second
	defaultSilenceTimeout = 45 * time.Second
)

// ping pings s until it has ended, and ends it when there is no answer.
func (l *Listener) ping(s *mux.Session) {
	interval, silence := defaultPingInterval, defaultSilenceTimeout
	if ws := l.cfg.WebSocket; ws != nil {
		interval, silence = cmp.Or(ws.PingInterval, interval), cmp.Or(ws.SilenceTimeout, silence)
	}
	if interval < 0 {
		return
	}
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-s.Done():
			return
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), max(silence-interval, time.Second))
		_, err := s.Ping(ctx)
		cancel()
		if err != nil {
			_ = s.CloseWithError(errSilent) // nothing, if it has ended
			return
		}
	}
}
