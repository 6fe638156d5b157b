package resume

import (
	"cmp"
	"container/list"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A name is an identifier, under which the session is found, and a secret, in
// base64 without padding for URLs.
const (
	idSize     = 8
	secretSize = 24
	nameLength = ((idSize+secretSize)*8 + 5) / 6
)

// Defaults of Sessions.
const (
	defaultMaxSessions = 10_000
	defaultMaxReplay   = 256 << 20
)

// Sessions are a server's streams that clients may resume, by name. The zero
// value is ready to use. Its fields must not be changed once it is in use; its
// methods may be called concurrently.
type Sessions struct {
	// Config is of the streams. A Budget is added if it has none.
	Config *Config

	// Max is how many sessions there may be. 0 means 10,000.
	Max int

	// MaxReplay bounds the memory for replay of all sessions, in bytes,
	// beyond 16 KiB for each. 0 means 256 MiB.
	MaxReplay int64

	// Key returns who uses memory: all sessions with the same key may have
	// an eighth of MaxReplay together. A key has to compare; those whose key
	// is nil may have all of it. Nil means that all are nil.
	Key func(principal any) any

	// Same decides whether a request to resume comes from the principal that
	// opened the session. Nil means reflect.DeepEqual.
	Same func(opened, resumes any) bool

	// Group returns with which others a session counts when one has to make
	// room: see EvictFor. A group has to compare. Nil means that all are one.
	Group func(principal any) any

	once     sync.Once
	cfg      Config
	instance string
	ending   atomic.Bool

	mu              sync.Mutex
	m               map[[idSize]byte]*session
	shares          map[any]*share // by key
	groups          map[any]int    // how many sessions there are of each
	unused, waiting list.List      // of *session without a carrier, cut longest ago first
}

// keyShares is how many keys can use up a Budget together.
const keyShares = 8

// share is what the sessions of one key have of the Budget.
type share struct {
	budget   *Budget
	sessions int
}

// session is one stream, and who may resume it.
type session struct {
	sessions   *Sessions
	id         [idSize]byte
	secret     [secretSize]byte
	conn       *Conn
	principal  any
	key, group any           // what Sessions.Key and Group say of it
	watch      Watcher       // guarded by Conn.mu
	place      *list.Element // in Sessions.unused or waiting; guarded by Sessions.mu
	since      time.Time     // when it got that
}

func (s *Sessions) start() {
	s.once.Do(func() {
		s.cfg = s.Config.withDefaults()
		if s.cfg.Budget == nil {
			replay := s.MaxReplay
			if replay == 0 {
				replay = defaultMaxReplay
			}
			s.cfg.Budget = NewBudget(replay)
		}
		s.Max = cmp.Or(s.Max, defaultMaxSessions)
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails
		s.instance = hex.EncodeToString(id[:])
		s.m = map[[idSize]byte]*session{}
		s.shares = map[any]*share{}
		s.groups = map[any]int{}
	})
}

// Open returns a Conn without a carrier, and the name under which its client
// may resume it. It returns nil if there are too many, or too much memory is in
// use: the client is served without resumption then.
func (s *Sessions) Open(principal any) (*Conn, string) {
	s.start()
	var name [idSize + secretSize]byte
	_, _ = rand.Read(name[:]) // never fails
	se := &session{sessions: s, id: [idSize]byte(name[:idSize]), principal: principal}
	copy(se.secret[:], name[idSize:])
	if s.Key != nil {
		se.key = s.Key(principal)
	}
	se.group = s.groupOf(principal)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= s.Max || s.cfg.Budget.Exhausted() || s.m[se.id] != nil {
		return nil, ""
	}
	cfg := s.cfg
	cfg.Budget = s.enter(se)
	se.conn = New(&cfg, nil)
	se.conn.keeper = se
	s.m[se.id] = se
	return se.conn, base64.RawURLEncoding.EncodeToString(name[:])
}

// enter counts se and returns its Budget; mu is held.
func (s *Sessions) enter(se *session) *Budget {
	s.groups[se.group]++
	if se.key == nil {
		return s.cfg.Budget
	}
	sh := s.shares[se.key]
	if sh == nil {
		sh = &share{budget: s.cfg.Budget.share(keyShares)}
		s.shares[se.key] = sh
	}
	sh.sessions++
	return sh.budget
}

// leave forgets se; mu is held.
func (s *Sessions) leave(se *session) {
	if s.m[se.id] != se {
		return
	}
	delete(s.m, se.id)
	if s.groups[se.group]--; s.groups[se.group] == 0 {
		delete(s.groups, se.group)
	}
	if se.key == nil {
		return
	}
	sh := s.shares[se.key]
	if sh.sessions--; sh.sessions == 0 {
		delete(s.shares, se.key)
	}
}

// Resume prepares the next carrier of the session that r names, for a client
// that was authorized as principal. Its Attach takes over from the carrier
// before. The error is a *RefusedError: 404 if the name is none, 403 if it is
// another principal's, 409 if r comes too late or the stream cannot be
// continued where the client is, 429, which passes, if it is resumed too often.
func (s *Sessions) Resume(r Request, principal any) (*Attachment, error) {
	s.start()
	se := s.find(r.Name)
	if se == nil {
		return nil, &RefusedError{http.StatusNotFound, "no such session: it has ended, or belongs to another server"}
	}
	same := s.Same
	if same == nil {
		same = reflect.DeepEqual
	}
	if !same(se.principal, principal) {
		return nil, &RefusedError{http.StatusForbidden, "the session belongs to another principal"}
	}
	return se.conn.prepareAs(r)
}

// find returns the session of that name, nil if there is none. How long it
// takes tells nothing of a secret.
func (s *Sessions) find(name string) *session {
	b, err := base64.RawURLEncoding.Strict().DecodeString(name)
	if err != nil || len(b) != idSize+secretSize {
		return nil
	}
	s.mu.Lock()
	se := s.m[[idSize]byte(b[:idSize])]
	s.mu.Unlock()
	if se == nil || subtle.ConstantTimeCompare(se.secret[:], b[idSize:]) != 1 {
		return nil
	}
	return se
}

// prepareAs is Prepare in the server's role, for the client's request r.
func (c *Conn) prepareAs(r Request) (*Attachment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over != nil || c.finished:
		return nil, &RefusedError{http.StatusNotFound, "the session has ended"}
	case r.Attempt < c.attempts:
		return nil, &RefusedError{http.StatusConflict, "attempt " + strconv.FormatUint(r.Attempt, 10) +
			" comes after a later one: is the session's name used twice?"}
	}
	if err := c.check(r.Offset); err != nil {
		return nil, err
	}
	if c.keeper != nil && !c.resumed.take(time.Now(), resumeBurst, resumeInterval) {
		return nil, &RefusedError{http.StatusTooManyRequests, "the session was resumed too often in a short time"}
	}
	c.attempts = r.Attempt
	return c.prepare(), nil
}

// Drain asks the clients of all sessions for a new carrier each.
func (s *Sessions) Drain() {
	for _, c := range s.conns() {
		c.Drain()
	}
}

// conns returns the streams of all sessions.
func (s *Sessions) conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var conns []*Conn
	for _, se := range s.m {
		conns = append(conns, se.conn)
	}
	return conns
}

// Len returns how many sessions there are.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

// Used returns how many bytes are kept for replay.
func (s *Sessions) Used() int64 {
	s.start()
	return s.cfg.Budget.Used()
}

// Answer returns the header of the answer that grants the session name: to a
// request that opens it.
func (s *Sessions) Answer(name string) http.Header {
	return http.Header{headerSession: {name}, headerInstance: {s.Instance()}}
}

// Resumed is Answer to a request that resumes a session, on a.
func (s *Sessions) Resumed(a *Attachment) http.Header {
	return http.Header{headerOffset: {strconv.FormatUint(a.Offset(), 10)}, headerInstance: {s.Instance()}}
}

// Refuse adds to the header of a refusal what makes it final to the client.
func (s *Sessions) Refuse(h http.Header) { h.Set(headerInstance, s.Instance()) }

// Instance returns a random name of these Sessions.
func (s *Sessions) Instance() string {
	s.start()
	return s.instance
}
