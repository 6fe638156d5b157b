package mux

import "sync"

// Sizes of the blocks that unread data is kept in. A stream that has none
// holds no block.
const (
	smallBlock = 1 << 10
	largeBlock = 16 << 10
)

type block struct {
	b    []byte
	r, w int // what is between them is unread
}

var (
	smallBlocks = sync.Pool{New: func() any { return &block{b: make([]byte, smallBlock)} }}
	largeBlocks = sync.Pool{New: func() any { return &block{b: make([]byte, largeBlock)} }}
)

// newBlock returns a block for n bytes or the beginning of them.
func newBlock(n int) *block {
	if n <= smallBlock {
		return smallBlocks.Get().(*block)
	}
	return largeBlocks.Get().(*block)
}

func (b *block) free() {
	b.r, b.w = 0, 0
	if len(b.b) == smallBlock {
		smallBlocks.Put(b)
	} else {
		largeBlocks.Put(b)
	}
}

// buffer is a queue of bytes in pooled blocks. The zero value is empty.
type buffer struct {
	blocks []*block
	n      int
}

// write appends all of p.
func (q *buffer) write(p []byte) {
	q.n += len(p)
	for len(p) > 0 {
		var last *block
		if len(q.blocks) > 0 {
			last = q.blocks[len(q.blocks)-1]
		}
		if last == nil || last.w == len(last.b) {
			last = newBlock(len(p))
			q.blocks = append(q.blocks, last)
		}
		m := copy(last.b[last.w:], p)
		last.w += m
		p = p[m:]
	}
}

// read moves bytes into p and returns how many.
func (q *buffer) read(p []byte) (n int) {
	for n < len(p) && len(q.blocks) > 0 {
		first := q.blocks[0]
		m := copy(p[n:], first.b[first.r:first.w])
		first.r += m
		n += m
		if first.r == first.w {
			first.free()
			q.blocks[0] = nil
			q.blocks = q.blocks[1:]
		}
	}
	q.n -= n
	if len(q.blocks) == 0 {
		q.blocks = nil
	}
	return n
}

// discard empties the queue.
func (q *buffer) discard() {
	for _, b := range q.blocks {
		b.free()
	}
	*q = buffer{}
}
