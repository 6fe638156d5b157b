package relay

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
)

// maxPiece is the most that is forwarded at once.
const maxPiece = 16 << 10

// mode is what a way does with the bytes that it reads.
type mode int

const (
	forwarding mode = iota
	dropping        // reads on, forwards nothing
	stalled         // reads no further, so that the sender's buffers fill
)

// limit says after how much a way stops forwarding.
type limit int

const (
	unlimited limit = iota
	inPiece         // within the next piece
	inFrame         // so many bytes after the next frame's begin
	inCount         // so many bytes from now
)

// way is one direction of a connection.
type way struct {
	src, dst *net.TCPConn
	rnd      *rand.Rand // the pump's
	hit      chan struct{}

	mu     sync.Mutex
	mode   mode
	limit  limit
	count  int
	frames frames
}

func newWay(src, dst *net.TCPConn, seed uint64) *way {
	return &way{src: src, dst: dst, rnd: rand.New(rand.NewPCG(seed, 0)), hit: make(chan struct{})}
}

func (w *way) set(m mode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = m
}

func (w *way) is(m mode) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mode == m
}

// restrict makes w forward count bytes more, as l says, and then close hit and
// drop what follows.
func (w *way) restrict(l limit, count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit, w.count = l, count
}

// started reports whether w carried anything after the HTTP head.
func (w *way) started() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frames.started
}

// take returns what of a piece is to be forwarded, and whether the limit is
// reached with it.
func (w *way) take(piece []byte) (out []byte, hit bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mode != forwarding {
		return nil, false
	}
	n := len(piece)
	switch w.limit {
	case unlimited:
		w.frames.feed(piece, false)
		return piece, false
	case inPiece:
		n = w.rnd.IntN(len(piece)) // less than the piece
		hit = true
	case inFrame:
		at, found := w.frames.feed(piece, true)
		if !found {
			return piece, false
		}
		w.limit = inCount
		w.frames.feed(piece[at:], false)
		n, hit = w.counted(at, len(piece)-at)
	case inCount:
		w.frames.feed(piece, false)
		n, hit = w.counted(0, len(piece))
	}
	if hit {
		w.mode = dropping
	}
	return piece[:n], hit
}

// counted takes from count what of the n bytes after the first at may pass.
func (w *way) counted(at, n int) (pass int, hit bool) {
	if n < w.count {
		w.count -= n
		return at + n, false
	}
	return at + w.count, true
}

// pump forwards until src ends or dst does, or until closed is closed if it is
// stalled. It returns io.EOF if src ended in order.
func (w *way) pump(closed <-chan struct{}, carried func()) error {
	buf := make([]byte, maxPiece)
	for {
		size := 1 + w.rnd.IntN(maxPiece)
		if w.rnd.IntN(8) == 0 {
			size = 1 + w.rnd.IntN(64)
		}
		n, err := w.src.Read(buf[:size])
		if n > 0 {
			out, hit := w.take(buf[:n])
			if len(out) > 0 {
				if _, werr := w.dst.Write(out); werr != nil {
					err = errors.Join(werr, err)
				}
			}
			if hit {
				close(w.hit)
			}
			carried()
		}
		if w.is(stalled) {
			<-closed
			return net.ErrClosed
		}
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return err
		}
	}
}
