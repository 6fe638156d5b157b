package mux

import (
	"errors"
	"sync/atomic"
	"time"
)

// errUnread ends a session whose data nobody reads.
var errUnread = errors.New("mux: too much came that nobody reads")

// fairShare is what a session may hold in any case. clogLimit is how long one
// that holds more may have to wait, and clogPause how often it looks.
const (
	fairShare = 1 << 20
	clogLimit = 10 * time.Second
	clogPause = 2 * time.Millisecond
)

// Budget bounds what all sessions that share it hold of data that came and was
// not read. While it is used up, a session that holds more than 1 MiB reads
// nothing more from its connection until some of it was read, and ends after
// 10 s of that. It may be used concurrently.
type Budget struct {
	max  int64
	used atomic.Int64
}

// NewBudget returns a Budget of max bytes.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Used returns how many bytes are held.
func (b *Budget) Used() int64 { return b.used.Load() }

// hold counts n bytes more, or fewer, that the session holds.
func (s *Session) hold(n int) {
	if b := s.cfg.Budget; b != nil && n != 0 {
		s.unread.Add(int64(n))
		b.used.Add(int64(n))
	}
}

// isClogged reports whether the session has to wait before it reads. The caller
// has the right to read.
func (s *Session) isClogged() bool {
	b := s.cfg.Budget
	if b == nil {
		return false
	}
	if b.used.Load() > b.max && s.unread.Load() > fairShare {
		return true
	}
	s.clogged = 0 // what was waited before does not count next time
	return false
}

// unclog waits while the session is clogged, as long as st, if not nil, has
// nothing to tell its caller. The caller has the right to read.
func (s *Session) unclog(st *stream) {
	var closed <-chan struct{}
	var late <-chan struct{}
	if st != nil {
		closed, late = st.closed.Done(), st.rdeadline.Done()
	}
	for s.isClogged() {
		if s.clogged > clogLimit {
			s.cfg.Logger.Warn("mux: session ended", "remote", s.RemoteAddr(), "err", errUnread)
			s.fail(errUnread)
			return
		}
		timer, begun := time.NewTimer(clogPause), time.Now()
		select {
		case <-timer.C:
		case <-s.done.Done():
		case <-closed:
		case <-late:
		}
		timer.Stop()
		s.clogged += time.Since(begun)
		if st != nil && st.ready() || s.done.IsClosed() {
			return
		}
	}
}
