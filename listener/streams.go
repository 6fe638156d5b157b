package listener

import (
	"cmp"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A tunnel without a WebSocket costs what its streams cost: to gRPC each is a
// connection, with goroutines and buffers. Such tunnels may have an eighth of the
// streams that there may be in all, and half of those of one principal. When that
// is used up, a tunnel of more than a few streams ends with its WebSocket, and
// the others are kept for a shorter time when half of it is.
const (
	detachedShare   = 8
	detachedShareOf = 2
	fewStreams      = 8
	detachedWindow  = 10 * time.Second
)

// streams counts the streams of all tunnels.
type streams struct {
	max, maxOf int // a negative maxOf means no limit
	counters   *counters

	mu  sync.Mutex
	all usage
	of  map[any]*usage // by principal
}

// usage is how many streams somebody has.
type usage struct {
	open     int
	detached int // of them, of tunnels without a WebSocket
}

// tunnelStreams is the usage of one tunnel; streams.mu guards it.
type tunnelStreams struct {
	open       int
	isDetached bool
}

// usageOf returns the usage of a principal, nil if it is not counted; mu is held.
func (s *streams) usageOf(principal any) *usage {
	who := keyOf(principal)
	if who == nil {
		return nil
	}
	u := s.of[who]
	if u == nil {
		u = &usage{}
		s.of[who] = u
	}
	return u
}

// check returns why a principal may open no stream, nil if it may.
func (s *streams) check(principal any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkLocked(s.of[keyOf(principal)])
}

func (s *streams) checkLocked(u *usage) error {
	switch {
	case u != nil && s.maxOf >= 0 && u.open >= s.maxOf:
		s.counters.streamsOfPrincipal.Add(1)
		return refusedForNow(http.StatusTooManyRequests, "you have as many streams as you may")
	case s.all.open >= s.max:
		s.counters.streams.Add(1)
		return refusedForNow(http.StatusServiceUnavailable, "the server has as many streams as it takes")
	}
	return nil
}

// open counts a stream of t, if there may be one more.
func (s *streams) open(t *tunnel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checkLocked(s.of[keyOf(t.info.Principal)]) != nil {
		return false
	}
	s.add(t, 1)
	return true
}

// close uncounts it.
func (s *streams) close(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(t, -1)
}

// add counts n streams more of t; mu is held.
func (s *streams) add(t *tunnel, n int) {
	t.streams.open += n
	s.all.open += n
	u := s.usageOf(t.info.Principal)
	if u != nil {
		u.open += n
	}
	if t.streams.isDetached {
		s.addDetached(t, n)
	}
	if u != nil && *u == (usage{}) {
		delete(s.of, keyOf(t.info.Principal))
	}
}

// addDetached counts n streams more of tunnels without a WebSocket; mu is held.
func (s *streams) addDetached(t *tunnel, n int) {
	s.all.detached += n
	if u := s.of[keyOf(t.info.Principal)]; u != nil {
		u.detached += n
	}
}

// detach notes that t has lost its WebSocket. It returns what resume.Watcher says
// of Cut.
func (s *streams) detach(t *tunnel) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.streams.isDetached {
		t.streams.isDetached = true
		s.addDetached(t, t.streams.open)
	}
	used := detachedShare * fraction(s.all.detached, s.max)
	if u := s.of[keyOf(t.info.Principal)]; u != nil && s.maxOf >= 0 {
		used = max(used, detachedShareOf*fraction(u.detached, s.maxOf))
	}
	switch {
	case used > 1 && t.streams.open > fewStreams:
		s.counters.detached.Add(1)
		return -1
	case used > 0.5:
		return detachedWindow
	}
	return 0
}

// fraction returns n as a part of limit.
func fraction(n, limit int) float64 { return float64(n) / float64(max(limit, 1)) }

// attach notes that t has a WebSocket again.
func (s *streams) attach(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.streams.isDetached {
		t.streams.isDetached = false
		s.addDetached(t, -t.streams.open)
	}
}

// maxStreams returns how many streams the client of one tunnel may have open.
func (l *Listener) maxStreams() int {
	n := 0
	if l.cfg.Mux != nil {
		n = l.cfg.Mux.MaxStreams
	}
	return cmp.Or(n, defaultMuxStreams)
}

// len returns how many there are.
func (s *streams) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.open
}

// countedStream is a stream of a tunnel, which is counted until it is closed.
type countedStream struct {
	net.Conn

	tunnel *tunnel
	closed atomic.Bool
}

// Close implements net.Conn.
func (c *countedStream) Close() error {
	err := c.Conn.Close()
	if c.closed.CompareAndSwap(false, true) {
		c.tunnel.listener.streams.close(c.tunnel)
	}
	return err
}
