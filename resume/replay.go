package resume

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Sizes of blocks, as they are counted, and of what goes into them. A tiny one
// is for a stream on which something small is said now and then: it has to keep
// that for the better part of a second. A large block holds one frame of mux with
// grpc's write buffer in it.
const (
	tinyBlock  = 2 << 10
	smallBlock = 16 << 10
	largeBlock = 128 << 10
	largeExtra = 64      // for what comes in front of a payload of 128 KiB
	smallPiece = 4 << 10 // up to here bytes are joined with those before
)

// block is memory for pieces.
type block struct {
	b    []byte
	used int
	live int // pieces in it, and those who use one
}

var (
	tinyBlocks  = sync.Pool{New: func() any { return &block{b: make([]byte, tinyBlock)} }}
	smallBlocks = sync.Pool{New: func() any { return &block{b: make([]byte, smallBlock)} }}
	largeBlocks = sync.Pool{New: func() any { return &block{b: make([]byte, largeBlock+largeExtra)} }}
)

// size returns for how much the block counts.
func (b *block) size() int { return min(len(b.b), largeBlock) }

// blocks returns the pool of blocks of that size.
func blocks(size int) *sync.Pool {
	switch size {
	case tinyBlock:
		return &tinyBlocks
	case smallBlock:
		return &smallBlocks
	default:
		return &largeBlocks
	}
}

// room returns how many bytes fit behind front.
func (b *block) room(front int) int {
	if b == nil {
		return 0
	}
	return len(b.b) - b.used - front
}

// piece is a part of the stream that lies in one block.
type piece struct {
	at     uint64 // offset in the stream
	blk    *block
	from   int     // where it begins in blk
	n      int     // its length
	framed bool    // there are frontSize bytes of room in front
	mask   [4]byte // what it is XORed with; 0 if it is as it was written
}

func (p *piece) end() uint64 { return p.at + uint64(p.n) }

// replay is what was written and not acknowledged: the bytes from start to end,
// of which those before next were handed to the present carrier. Conn.mu guards
// it, except for the bytes of a piece, which belong to whoever sends it.
type replay struct {
	limit  int
	base   int // what limit was to begin with
	budget *Budget

	start, next, end uint64
	sent             uint64 // the highest that next ever was

	pieces       []piece     // oldest first
	small, large *block      // those that are being filled; nil if none is
	used         int         // size of all blocks
	roomy        atomic.Bool // there is room for any Write, as far as base goes
}

// reserve finds room for n bytes or the first of them, and pins the block. size
// is how many; 0 means that acknowledgements have to come first.
func (r *replay) reserve(n int) (blk *block, framed bool, size int) {
	if n <= smallPiece {
		if r.small.room(0) < n {
			size := smallBlock
			if r.used == 0 && n <= tinyBlock/4 {
				size = tinyBlock
			}
			if !r.refill(&r.small, size) {
				return nil, false, 0
			}
		}
		r.small.live++
		return r.small, false, n
	}
	n = min(n, largeBlock)
	fill := &r.large
	if r.large.room(frontSize) < n {
		switch {
		case frontSize+n <= smallBlock && r.small.room(frontSize) >= n:
			fill = &r.small
		case frontSize+n <= smallBlock:
			if fill = &r.small; !r.refill(fill, smallBlock) {
				return nil, false, 0
			}
		case r.refill(fill, largeBlock):
		case r.used > 0 && r.limit >= 2*largeBlock:
			return nil, false, 0
		default:
			if fill = &r.small; !r.refill(fill, smallBlock) {
				return nil, false, 0
			}
			n = (*fill).room(frontSize)
		}
	}
	(*fill).live++
	return *fill, true, n
}

// hasRoom reports whether n bytes, or the first of them, can be reserved.
func (r *replay) hasRoom(n int) bool {
	n = min(n, largeBlock)
	small := n
	if n > smallPiece {
		small += frontSize
		if r.large.room(frontSize) >= n || r.allows(largeBlock) {
			return true
		}
		if small > smallBlock { // in pieces, if need be
			return (r.used == 0 || r.limit < 2*largeBlock) && r.allows(smallBlock)
		}
	}
	return r.small.room(0) >= small || r.allows(smallBlock)
}

// allows reports whether a block of that size may be had. Who has none may have
// a small one in any case.
func (r *replay) allows(size int) bool {
	if r.used == 0 && size <= smallBlock {
		return true
	}
	if r.used+size > r.base && r.budget.isTight() {
		return false
	}
	return r.used+size <= r.limit && r.budget.has(size)
}

// refill makes fill an empty block of the given size, if one may be had.
func (r *replay) refill(fill **block, size int) bool {
	if !r.allows(size) || !r.budget.take(size, r.used == 0 && size <= smallBlock) {
		return false
	}
	r.use(size)
	*fill = blocks(size).Get().(*block)
	return true
}

// use counts size bytes more, or fewer.
func (r *replay) use(size int) {
	r.used += size
	r.roomy.Store(r.used+2*largeBlock <= r.base)
}

// put copies head and body, of which size bytes were reserved, to the block.
func (b *block) put(framed bool, size int, head, body []byte) (from int) {
	from = b.used
	if framed {
		from += frontSize
	}
	n := copy(b.b[from:from+size], head)
	copy(b.b[from+n:from+size], body)
	b.used = from + size
	return from
}

// publish adds what put has copied to the stream.
func (r *replay) publish(blk *block, framed bool, from, size int) {
	at := r.end
	r.end += uint64(size)
	if last := len(r.pieces) - 1; !framed && last >= 0 {
		p := &r.pieces[last]
		if p.blk == blk && !p.framed && p.from+p.n == from {
			p.n += size
			r.unpin(blk)
			return
		}
	}
	r.pieces = append(r.pieces, piece{at: at, blk: blk, from: from, n: size, framed: framed})
}

// pending takes what is to be sent next, which there is, to p, and pins its
// block. It goes field by field: a copy of the whole piece, of which publish has
// just changed a part, would have to wait for that.
func (r *replay) pending(p *piece) {
	i := len(r.pieces) - 1
	for r.pieces[i].at > r.next {
		i--
	}
	q := &r.pieces[i]
	skip := int(r.next - q.at)
	p.at, p.blk, p.from, p.n, p.framed = r.next, q.blk, q.from+skip, q.n-skip, q.framed
	p.mask = rotate(q.mask, skip)
	p.blk.live++
	r.next = p.end()
	r.sent = max(r.sent, r.next)
}

// rotate returns the mask as it is for what begins by n bytes later.
func rotate(mask [4]byte, n int) (m [4]byte) {
	if mask == m {
		return m
	}
	for i := range m {
		m[i] = mask[(i+n)&3]
	}
	return m
}

// sentAs notes how p, which pending took, was left by the carrier.
func (r *replay) sentAs(p *piece, mask [4]byte) {
	if p.framed {
		for i := range r.pieces {
			if q := &r.pieces[i]; q.blk == p.blk && q.from <= p.from && p.from < q.from+q.n {
				q.mask = rotate(mask, int(q.at-p.at)&3)
			}
		}
	}
	r.unpin(p.blk)
}

// resume makes n, up to where the peer has received everything, what is to be
// sent next, and returns how much of that was sent before.
func (r *replay) resume(n uint64) (again int64) {
	again = int64(r.sent - n)
	r.ack(max(n, r.start)) // there is nothing left once the peer has closed
	r.next = r.start
	return again
}

// ack forgets what the peer has received, up to n, which is no more than next.
func (r *replay) ack(n uint64) {
	r.start = n
	k := 0
	for k < len(r.pieces) && r.pieces[k].end() <= n {
		r.unpin(r.pieces[k].blk)
		k++
	}
	if k == 0 {
		return
	}
	r.pieces = slices.Delete(r.pieces, 0, k)
	if len(r.pieces) == 0 {
		r.pieces = nil
	}
}

// unpin ends a use of blk, whose memory is given back with the last.
func (r *replay) unpin(blk *block) {
	if blk.live--; blk.live == 0 {
		r.free(blk)
	}
}

func (r *replay) free(blk *block) {
	if r.small == blk {
		r.small = nil
	}
	if r.large == blk {
		r.large = nil
	}
	size := blk.size()
	r.use(-size)
	r.budget.give(size)
	blk.used = 0
	blocks(size).Put(blk)
}

// discard forgets everything.
func (r *replay) discard() {
	r.next, r.sent = r.end, r.end
	r.ack(r.end)
}
