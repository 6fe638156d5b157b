package mux

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Reading goes by turns. Whoever has the token reads the connection for all
// streams. That is, as a rule, a stream whose caller waits for data: what is
// meant for it is decoded in the caller's own buffer. A stream that waits
// while another one reads takes over when that one leaves. If nobody takes the
// token for idleReader, a goroutine reads until it has woken a stream, so that
// control frames are seen though no stream is being read.
const idleReader = 10 * time.Millisecond

// Sizes of the buffers that the connection is read into if the caller's is too
// small, or there is none.
const (
	minDirect  = 1 << 10 // a smaller buffer of a caller is not used
	minBulk    = 8 << 10 // the front of a frame that long is read by itself, so that its body need not be moved
	smallRead  = 512
	largerRead = 32 << 10
)

var largeReads = sync.Pool{New: func() any { b := make([]byte, largerRead); return &b }}

// receiver is the reading side of a session.
type receiver struct {
	rtoken chan struct{} // holds one token: the right to read the connection
	small  [smallRead]byte

	partial    [headerSize]byte // a header of which not all has come, of the reader
	partialLen int
	current    *stream // whose data is coming, nil if it is to be dropped
	left       uint32  // how much of it
	last       bool    // a FIN follows it
	bulk       bool    // the last data frame was a large one: so may be the next

	rmu         sync.Mutex
	leader      *stream // the stream that reads, nil if it is the goroutine or nobody
	interrupted bool    // the connection has a read deadline, for the leader's sake

	armed atomic.Bool
	timer *time.Timer
}

// startReceiving begins with nobody reading.
func (s *Session) startReceiving() {
	s.rtoken = make(chan struct{}, 1)
	s.rtoken <- struct{}{}
	s.armed.Store(true)
	s.timer = time.AfterFunc(time.Hour, s.readIfIdle) // never: it is there before it runs
	s.timer.Reset(0)
}

func (s *Session) stopReceiving() { s.timer.Stop() }

// passToken lets somebody else read.
func (s *Session) passToken() {
	s.rtoken <- struct{}{}
	if s.armed.CompareAndSwap(false, true) {
		s.timer.Reset(idleReader)
	}
}

// readIfIdle reads if nobody else does, until a stream that is waited for got
// something: its reader takes over.
func (s *Session) readIfIdle() {
	s.armed.Store(false)
	if !s.own() {
		return
	}
	defer s.owned.Done()
	select {
	case <-s.rtoken:
	default:
		return
	}
	defer s.passToken()
	for woke, filled := false, false; !woke; {
		raw := s.small[:]
		var large *[]byte
		if filled {
			large = largeReads.Get().(*[]byte)
			raw = *large
		}
		got, err := s.carrier.read(raw)
		filled = len(got) >= smallRead/2
		var ferr error
		_, woke, ferr = s.feed(got, nil)
		if large != nil {
			largeReads.Put(large)
		}
		if s.endOn(ferr) || s.endOn(err) {
			return
		}
	}
}

// lead reads the connection, for st whose caller waits with the buffer p, until
// there is something for st. The caller has the token; lead passes it on. It
// returns how much of p is filled. If p is nil, get returns it once there is
// something to put in.
func (s *Session) lead(st *stream, p []byte, get func() []byte) (n int) {
	defer s.passToken()
	for n == 0 && s.beginLead(st) {
		raw := p
		switch {
		case len(p) < minDirect:
			raw = s.small[:]
		case s.bulk && s.left > 0: // no further than the frame
			raw = p[:min(len(p), int(s.left))]
		case s.bulk && s.partialLen == 0:
			raw = s.small[:s.carrier.frontSize]
		}
		got, err := s.carrier.read(raw)
		interrupted := s.endLead()
		mine, _, ferr := s.feed(got, st)
		if len(mine) > 0 {
			if p == nil {
				p = get()
			}
			if n = copy(p, mine); n < len(mine) {
				st.push(mine[n:])
			}
		}
		if err != nil && interrupted && errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		if s.endOn(ferr) || s.endOn(err) {
			return n
		}
	}
	return n
}

// beginLead makes st the leader unless it has something to tell already.
func (s *Session) beginLead(st *stream) bool {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	if isDone(s.done) || st.ready() {
		return false
	}
	s.leader = st
	return true
}

// endLead ends what beginLead began, and reports whether interrupt was called.
func (s *Session) endLead() bool {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	s.leader = nil
	if !s.interrupted {
		return false
	}
	s.interrupted = false
	_ = s.carrier.SetReadDeadline(time.Time{})
	return true
}

// interrupt makes st stop to lead, if it does: it was closed, or its read
// deadline has passed.
func (s *Session) interrupt(st *stream) {
	s.rmu.Lock()
	defer s.rmu.Unlock()
	if s.leader == st && !s.interrupted {
		s.interrupted = true
		_ = s.carrier.SetReadDeadline(time.Unix(1, 0))
	}
}

// endOn ends the session if err is not nil, and reports whether it was not.
func (s *Session) endOn(err error) bool {
	if err == nil {
		return false
	}
	var violation protocolError
	switch {
	case errors.As(err, &violation):
		s.sayWhy()
	case errors.Is(err, io.EOF):
		err = io.EOF
	}
	s.fail(err)
	return true
}

// sayWhy tells the peer that it broke the protocol, if that does not block.
func (s *Session) sayWhy() {
	select {
	case <-s.wtoken:
		_ = s.carrier.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_ = s.writeFrame(nil, header{typeGoAway, 0, 0, goAwayProtocol}, nil)
	default:
	}
}

// feed takes bytes of the connection. It returns the data for self, as a part
// of raw: the first piece stays where it is, and what follows later in raw is
// moved up to it. Data for other streams goes into their buffers, and woke
// reports that somebody waited for it. The caller has the token.
func (s *Session) feed(raw []byte, self *stream) (mine []byte, woke bool, err error) {
	for r := 0; r < len(raw); {
		if s.left == 0 {
			m := copy(s.partial[s.partialLen:], raw[r:])
			r += m
			if s.partialLen += m; s.partialLen < headerSize {
				return mine, woke, nil
			}
			s.partialLen = 0
			h, err := parseHeader(s.partial[:])
			if err == nil {
				var w bool
				w, err = s.onHeader(h)
				woke = woke || w
			}
			if err != nil {
				return mine, woke, err
			}
			continue
		}
		chunk := raw[r:min(len(raw), r+int(s.left))]
		if s.current != nil && s.current == self {
			if len(mine) == 0 {
				mine = chunk
			} else {
				mine = append(mine, chunk...)
			}
		} else if s.current != nil {
			woke = s.current.push(chunk) || woke
		}
		r += len(chunk)
		if s.left -= uint32(len(chunk)); s.left == 0 && s.last && s.current != nil {
			woke = s.current.onFIN() || woke
		}
	}
	return mine, woke, nil
}
