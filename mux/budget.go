package mux

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// errUnread ends a session that held most of a Budget.
var errUnread = errors.New("mux: too much came that nobody reads, and this session holds most of it")

// fairShare is what a session may hold in any case, and reliefInterval how
// often one may be ended.
const (
	fairShare      = 1 << 20
	reliefInterval = 10 * time.Millisecond
)

// Budget bounds what all sessions that share it hold of data that came and was
// not read. When it is used up, the session that holds most is ended, unless
// that is no more than 1 MiB. It may be used concurrently.
type Budget struct {
	max      int64
	used     atomic.Int64
	relieved atomic.Int64 // when a session was last looked for, in ns since start

	start    time.Time
	mu       sync.Mutex
	sessions map[*Session]struct{}
}

// NewBudget returns a Budget of max bytes.
func NewBudget(max int64) *Budget {
	return &Budget{max: max, start: time.Now(), sessions: map[*Session]struct{}{}}
}

// Used returns how many bytes are held.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) enter(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions[s] = struct{}{}
}

func (b *Budget) leave(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, s)
}

// hold counts n bytes more, or fewer, that the session holds. It does not block.
func (s *Session) hold(n int) {
	b := s.cfg.Budget
	if b == nil || n == 0 {
		return
	}
	s.unread.Add(int64(n))
	if b.used.Add(int64(n)) <= b.max || n < 0 {
		return
	}
	now, last := int64(time.Since(b.start)), b.relieved.Load()
	if now-last >= int64(reliefInterval) && b.relieved.CompareAndSwap(last, now) {
		go b.relieve()
	}
}

// relieve ends the session that holds most.
func (b *Budget) relieve() {
	var worst *Session
	b.mu.Lock()
	for s := range b.sessions {
		if worst == nil || s.unread.Load() > worst.unread.Load() {
			worst = s
		}
	}
	b.mu.Unlock()
	if worst != nil && worst.unread.Load() > fairShare {
		worst.cfg.Logger.Warn("mux: session ended", "remote", worst.RemoteAddr(), "err", errUnread)
		worst.fail(errUnread)
	}
}
