package relay

import "time"

// Kind is a way to cut a connection.
type Kind int

const (
	reset      Kind = iota // both sides at once, with RST
	fin                    // both sides at once, with FIN
	inMiddle               // in the middle of a piece
	inHeader               // in the first bytes of a WebSocket frame
	muteUp                 // the client's bytes are dropped for a while, then both sides are closed
	muteDown               // the server's bytes are dropped for a while, then both sides are closed
	clientOnly             // the client's side is closed, the server's later
	serverOnly             // the server's side is closed, the client's later
	handshake              // a new connection, in its handshake

	// Kinds is how many there are.
	Kinds
)

func (k Kind) String() string {
	return [...]string{
		"both sides, RST", "both sides, FIN", "in a piece", "in a frame's header", "half-open, client mute",
		"half-open, server mute", "server's side stays", "client's side stays", "in the handshake",
	}[k]
}

// maxArmed is how many handshakes in a row are cut at most.
const maxArmed = 3

// Record tells of a cut.
type Record struct {
	Kind  Kind
	Start time.Time // when the first byte was withheld
	Seen  time.Time // when the client's side was closed, so that the client can know
	idle  bool      // closed between two pieces, since none came within a second
}

// between returns a random number from a to b.
func (r *Relay) between(a, b int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return a + r.rnd.IntN(b-a+1)
}

func (r *Relay) millis(a, b int) time.Duration {
	return time.Duration(r.between(a*1000, b*1000)) * time.Microsecond
}

func (r *Relay) coin() bool { return r.between(0, 1) == 1 }

// cut cuts l. It returns once the client's side is closed; the server's may
// stay open for longer. It returns false if l was over already.
func (r *Relay) cut(l *link, k Kind) (Record, bool) {
	if !l.begin() {
		return Record{}, false
	}
	rec := Record{Kind: k, Start: time.Now()}
	switch k {
	case fin:
		r.finish(l)
	case inMiddle, inHeader:
		rec.Start, rec.idle = r.truncate(l, k)
	case muteUp, muteDown:
		w := l.up
		if k == muteDown {
			w = l.down
		}
		w.set(dropping)
		Wait(r.millis(50, 300), r.done)
		l.close(r.coin())
	case clientOnly, serverOnly:
		r.oneSide(l, k)
	default:
		l.close(true)
	}
	rec.Seen = time.Now()
	return rec, true
}

// finish sends a FIN to both sides, and closes them when both answered with
// theirs, 50 ms later at the latest. What they send until then is dropped.
func (r *Relay) finish(l *link) {
	l.up.set(dropping)
	l.down.set(dropping)
	_ = l.client.CloseWrite()
	_ = l.server.CloseWrite()
	r.wg.Go(func() {
		Wait(50*time.Millisecond, r.done)
		l.close(false)
	})
}

// truncate waits until something is forwarded, forwards a part of it, and
// closes both sides.
func (r *Relay) truncate(l *link, k Kind) (start time.Time, idle bool) {
	w := l.up
	if r.coin() {
		w = l.down
	}
	if k == inHeader {
		w.restrict(inFrame, r.between(1, 13))
	} else {
		w.restrict(inPiece, 0)
	}
	idle = !r.awaitHit(w, l, time.Second)
	start = time.Now()
	l.close(r.coin())
	return start, idle
}

// awaitHit waits for the limit of w, but not for ever: there may be nothing to
// forward.
func (r *Relay) awaitHit(w *way, l *link, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.hit:
		return true
	case <-t.C:
	case <-l.closed:
	case <-r.done:
	}
	return false
}

// oneSide closes one side; the other stays for a while, and what comes from
// there is dropped or left unread.
func (r *Relay) oneSide(l *link, k Kind) {
	m := dropping
	if r.coin() {
		m = stalled
	}
	l.up.set(m)
	l.down.set(m)
	later, hard := r.millis(100, 500), r.coin()
	if k == serverOnly {
		closeSide(l.server, hard)
		Wait(later, r.done)
		l.close(hard)
		return
	}
	closeSide(l.client, hard)
	r.wg.Go(func() {
		Wait(later, r.done)
		l.close(hard)
	})
}
