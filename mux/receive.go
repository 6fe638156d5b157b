package mux

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"culvert/internal/token"
	"culvert/internal/toll"
)

// Reading goes by turns. Whoever has the token reads the connection for all
// streams. That is, as a rule, a stream whose caller waits for data: what is
// meant for it is decoded in the caller's own buffer. A stream that waits
// while another one reads takes over when that one leaves. If nobody takes the
// token for a while, a goroutine reads until it has woken a stream, so that
// control frames are seen though no stream is being read. That while doubles
// each time that somebody turns out to read, as long as nobody waits for what
// the peer has to say: to look costs a timer and a goroutine, which is much for
// who has many sessions and calls each now and then.
const (
	minPatience = 10 * time.Millisecond
	maxPatience = 640 * time.Millisecond
)

// Sizes of the buffers that the connection is read into if the caller's is too
// small, or there is none.
const (
	minDirect  = 1 << 10 // a smaller buffer of a caller is not used
	minBulk    = 8 << 10 // the front of a frame that long is read by itself, so that its body need not be moved
	smallRead  = 336     // a Session that has it takes no more than 896 bytes
	largerRead = 32 << 10
)

var largeReads = sync.Pool{New: func() any { b := make([]byte, largerRead); return &b }}

// receiver is the reading side of a session.
type receiver struct {
	rtoken  token.Token   // the right to read the connection
	gate    toll.Gate     // for frames without data
	clogged time.Duration // for how long the reader has waited for others to read
	small   [smallRead]byte
	large   *[]byte // of largeReads, while what it holds is dealt out

	partial    [headerSize]byte // a header of which not all has come, of the reader
	partialLen int
	current    *stream // whose data is coming or came last, nil if it is dropped
	left       uint32  // how much of it
	last       bool    // a FIN follows it
	bulk       bool    // the last data frame was a large one: so may be the next

	leader atomic.Pointer[stream] // the stream that reads, or read last

	armed    atomic.Bool
	timer    *time.Timer
	patience atomic.Int64 // for how long nobody may read, a time.Duration
	waiters  atomic.Int32 // for what the peer has to say
}

// prepareReceiving comes before anybody may read.
func (s *Session) prepareReceiving() {
	s.armed.Store(true)
	s.patience.Store(int64(minPatience))
	s.timer = time.AfterFunc(time.Hour, s.readIfIdle) // never: it is there before it runs
}

// startReceiving begins with nobody reading, for so long.
func (s *Session) startReceiving(patience time.Duration) { s.timer.Reset(patience) }

func (s *Session) stopReceiving() { s.timer.Stop() }

// passToken lets somebody else read.
func (s *Session) passToken() {
	s.rtoken.Release()
	if !s.armed.Load() {
		s.arm()
	}
}

// arm has the goroutine look soon whether somebody reads. Whoever may have been
// the last with the token calls it afterwards.
func (s *Session) arm() {
	if !s.armed.Load() && s.armed.CompareAndSwap(false, true) {
		patience := s.patience.Load()
		s.timer.Reset(time.Duration(patience))
		if s.patience.Load() < patience { // beginWait came in between
			s.timer.Reset(minPatience)
		}
	}
}

// beginWait notes that somebody waits for what the peer has to say, so that
// there is little patience until endWait.
func (s *Session) beginWait() {
	s.waiters.Add(1)
	if s.patience.Load() > int64(minPatience) {
		s.patience.Store(int64(minPatience))
		if s.armed.Load() {
			s.timer.Reset(minPatience)
		}
	}
}

func (s *Session) endWait() { s.waiters.Add(-1) }

// readIfIdle reads if nobody else does, until a stream that is waited for got
// something: its reader takes over.
func (s *Session) readIfIdle() {
	s.armed.Store(false)
	if !s.own() {
		return
	}
	defer s.owned.Done()
	if !s.rtoken.Try() {
		if patience := s.patience.Load(); s.waiters.Load() == 0 {
			s.patience.CompareAndSwap(patience, min(2*patience, int64(maxPatience)))
		}
		return
	}
	s.patience.Store(int64(minPatience))
	defer s.passToken()
	for woke, filled := false, false; !woke; {
		if s.isClogged() {
			s.unclog(nil)
		}
		raw := s.small[:]
		var large *[]byte
		if filled {
			large = largeReads.Get().(*[]byte)
			raw = *large
		}
		got, err := s.carrier.reader.ReadBuffer(raw)
		filled = len(got) >= smallRead/2
		var ferr error
		_, woke, ferr = s.feed(got, nil)
		if large != nil {
			largeReads.Put(large)
			runtime.Gosched() // it goes on and on: others first
		}
		if s.endOn(ferr) || s.endOn(s.resume(err)) {
			return
		}
	}
}

// reading is a call of Read or ReadReady that waits for data.
type reading struct {
	p   []byte        // the caller's buffer, nil as long as there is none
	get func() []byte // returns it once there is something to put in
	n   int           // how much of it is filled
}

// lead reads the connection until there is something for st. While another one
// reads, it waits. It may return without anything in r: then the caller looks
// again.
//
// A goroutine may wait here for long. Go gives new goroutines stacks as large as
// those in use are on average, so what is on it is kept small, here and in what
// ReadBuffer is.
func (st *stream) lead(r *reading) {
	s := st.session
	if !s.rtoken.Try() && !st.awaitLead() {
		return
	}
	for r.n == 0 && s.beginLead(st) {
		if s.isClogged() {
			s.unclog(st)
			continue
		}
		got, err := s.carrier.reader.ReadBuffer(st.room(r))
		if !st.deal(r, got, err) {
			break
		}
	}
	s.passToken()
	if r.n > 0 {
		st.consumed(r.n)
	}
}

// room returns where to read to.
func (st *stream) room(r *reading) []byte {
	s := st.session
	if r.p == nil && s.current == st && s.left >= smallRead {
		r.p = r.get()
	}
	switch direct := len(r.p) >= minDirect; {
	case direct && s.bulk && s.left > 0: // no further than the frame
		return r.p[:min(uint64(len(r.p)), uint64(s.left))]
	case direct && s.bulk && s.partialLen == 0:
		return s.small[:s.carrier.frontSize]
	case direct:
		return r.p
	case s.left >= smallRead: // for another stream
		s.large = largeReads.Get().(*[]byte)
		return *s.large
	default:
		return s.small[:]
	}
}

// deal gives what was read before err to those it is for. It reports whether the
// session goes on.
func (st *stream) deal(r *reading, got []byte, err error) bool {
	s := st.session
	mine, plain, ferr := s.feedPlain(got, st)
	if !plain {
		mine, _, ferr = s.feed(got, st)
	}
	if len(mine) > 0 {
		if r.p == nil {
			r.p = r.get()
		}
		if r.n = copy(r.p, mine); r.n < len(mine) {
			st.push(mine[r.n:])
		}
	}
	if s.large != nil {
		largeReads.Put(s.large)
		s.large = nil
	}
	return !s.endOn(ferr) && !s.endOn(s.resume(err))
}

// beginLead makes st the leader unless it has something to tell already.
func (s *Session) beginLead(st *stream) bool {
	if s.leader.Load() != st {
		s.leader.Store(st)
	}
	return !st.ready() // after the Store: interrupt does it the other way round
}

// interrupt makes st stop to lead, if it does: it was closed, or its read
// deadline has passed. It may be late and meet another leader, who goes on.
func (s *Session) interrupt(st *stream) {
	if s.leader.Load() == st {
		_ = s.carrier.SetReadDeadline(time.Unix(1, 0))
	}
}

// resume ends what interrupt did. Other errors of a read it returns. Who calls
// it looks again whether there is reason to go on.
func (s *Session) resume(err error) error {
	if err == nil {
		return nil
	}
	return s.resumeAfter(err)
}

func (s *Session) resumeAfter(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && s.carrier.SetReadDeadline(time.Time{}) == nil {
		return nil
	}
	return err
}

// endOn ends the session if err is not nil, and reports whether it was not.
func (s *Session) endOn(err error) bool {
	if err != nil {
		s.endBecause(err)
	}
	return err != nil
}

func (s *Session) endBecause(err error) {
	var violation protocolError
	switch {
	case errors.As(err, &violation):
		s.sayWhy()
	case errors.Is(err, io.EOF):
		err = io.EOF
	}
	s.fail(err)
}

// sayWhy tells the peer that it broke the protocol, if that does not block.
func (s *Session) sayWhy() {
	if s.wtoken.Try() {
		_ = s.carrier.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_ = s.writeFrame(nil, header{typeGoAway, 0, 0, goAwayProtocol}, nil)
	}
}

// feedPlain is feed for what is read most often: one whole data frame for self, not
// a large one, without flags. It reports false for anything else, and has done
// nothing then.
func (s *Session) feedPlain(raw []byte, self *stream) (mine []byte, plain bool, err error) {
	n := len(raw) - headerSize
	if n <= 0 || n >= minBulk || s.left > 0 || s.partialLen > 0 || s.current != self ||
		binary.BigEndian.Uint32(raw) != 0 || // version, type and flags
		binary.BigEndian.Uint32(raw[4:]) != self.id || binary.BigEndian.Uint32(raw[8:]) != uint32(n) ||
		self.state.Load()&(isEnded|isRemoved) != 0 {
		return nil, false, nil
	}
	s.bulk, s.last = false, false
	if err = s.onData(self, uint32(n)); err == nil && s.current == self {
		mine = raw[headerSize:]
	}
	return mine, true, err
}

// feed takes bytes of the connection. It returns the data for self, as a part
// of raw: the first piece stays where it is, and what follows later in raw is
// moved up to it. Data for other streams goes into their buffers, and woke
// reports that somebody waited for it. The caller has the token.
func (s *Session) feed(raw []byte, self *stream) (mine []byte, woke bool, err error) {
	for r := 0; r < len(raw); {
		if s.left == 0 {
			head := raw[r:]
			if s.partialLen > 0 || len(head) < headerSize {
				m := copy(s.partial[s.partialLen:], head)
				if s.partialLen += m; s.partialLen < headerSize {
					return mine, woke, nil
				}
				head, r, s.partialLen = s.partial[:], r+m-headerSize, 0
			}
			r += headerSize
			h, err := parseHeader(head)
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
		chunk := raw[r:min(uint64(len(raw)), uint64(r)+uint64(s.left))]
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
