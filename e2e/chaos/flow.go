package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// headSize is the size of what precedes a message's content: flow, number and
// length, 8 bytes each.
const headSize = 24

// contents is what messages are cut out of, at a place that depends on flow
// and number, so that the receiver can tell every byte.
type contents []byte

func newContents(seed uint64) contents {
	c := make(contents, 1<<20+maxContent)
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(c)
	return c
}

// maxContent is the longest content of a message.
const maxContent = 64<<10 - headSize

func (c contents) of(flow, number uint64, size int) []byte {
	at := (flow*0x9e3779b97f4a7c15 + number*0xbf58476d1ce4e5b9) >> 44 // 20 bits
	return c[at : int(at)+size]
}

// length is the length of the content of a message, below limit.
func (c contents) length(flow, number uint64, limit int) int {
	return int(binary.BigEndian.Uint32(c.of(flow, number, 4))) % limit
}

// flow is one sequence of numbered messages, known to sender and receiver,
// which are in the same process.
type flow struct {
	id       uint64
	name     string
	book     *book
	contents contents
	sent     atomic.Uint64

	mu      sync.Mutex
	next    uint64              // the number expected
	missing map[uint64]struct{} // those below next that did not come
}

// short returns the next message, with a content of any length below limit.
func (f *flow) short(limit int) []byte {
	return f.message(f.contents.length(f.id, f.sent.Load(), limit))
}

// message returns the next message. There is one sender.
func (f *flow) message(content int) []byte {
	number := f.sent.Add(1) - 1
	m := make([]byte, headSize+content)
	binary.BigEndian.PutUint64(m, f.id)
	binary.BigEndian.PutUint64(m[8:], number)
	binary.BigEndian.PutUint64(m[16:], uint64(content))
	copy(m[headSize:], f.contents.of(f.id, number, content))
	return m
}

// received verifies a message that came.
func (f *flow) received(m []byte) {
	if len(m) < headSize {
		f.book.fault(corrupt, f.name, fmt.Sprintf("%d bytes are no message", len(m)))
		return
	}
	id, number, size := binary.BigEndian.Uint64(m), binary.BigEndian.Uint64(m[8:]), binary.BigEndian.Uint64(m[16:])
	switch {
	case id != f.id:
		f.book.fault(corrupt, f.name, fmt.Sprintf("a message of flow %d in flow %d", id, f.id))
		return
	case number >= f.sent.Load():
		f.book.fault(corrupt, f.name, fmt.Sprintf("message %d was never sent", number))
		return
	case size != uint64(len(m)-headSize) || !bytes.Equal(m[headSize:], f.contents.of(f.id, number, len(m)-headSize)):
		f.book.fault(corrupt, f.name, fmt.Sprintf("message %d has another content", number))
		return
	}
	f.order(number)
}

// order checks that a message comes once and in its turn.
func (f *flow) order(number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number < f.next {
		if _, ok := f.missing[number]; ok {
			delete(f.missing, number)
			f.book.fault(reordered, f.name, fmt.Sprintf("message %d after %d", number, f.next-1))
		} else {
			f.book.fault(doubled, f.name, fmt.Sprintf("message %d twice", number))
		}
		return
	}
	for ; f.next < number; f.next++ {
		f.missing[f.next] = struct{}{}
	}
	f.next++
}

// settle counts what was sent and did not come. It is called when nothing can
// come any more.
func (f *flow) settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	lost := uint64(len(f.missing)) + f.sent.Load() - f.next
	if lost > 0 {
		f.book.faults(missing, int(lost), f.name, fmt.Sprintf("%d of %d messages did not come", lost, f.sent.Load()))
	}
}

// flowOf is the flow that a message says it is of.
func (b *book) flowOf(m []byte) (*flow, bool) {
	if len(m) < 8 {
		return nil, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f, ok := b.flows[binary.BigEndian.Uint64(m)]
	return f, ok
}
