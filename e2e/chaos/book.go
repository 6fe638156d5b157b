package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// fault is what can be wrong.
type fault int

const (
	rpcError fault = iota
	missing
	doubled
	reordered
	corrupt
	faultKinds
)

func (f fault) String() string {
	return [...]string{"RPC error", "lost", "doubled", "reordered", "corrupt"}[f]
}

// shownFaults is how many faults are printed.
const shownFaults = 10

// book keeps the accounts of the load, of both its ends.
type book struct {
	contents contents

	echoed, unary       atomic.Int64 // messages, calls
	downBytes, upBytes  atomic.Int64 // received
	downCount, upCount  atomic.Int64
	replayed, resumed   atomic.Int64 // what the tunnel tells of itself
	noticed, tunnelLost atomic.Int64

	mu     sync.Mutex
	flows  map[uint64]*flow
	counts [faultKinds]int
	shown  []string
	losses []string // why the tunnel gave up, the first of them
}

func newBook(seed uint64) *book {
	return &book{contents: newContents(seed), flows: make(map[uint64]*flow)}
}

// open begins a flow.
func (b *book) open(name string) *flow {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &flow{
		id: uint64(len(b.flows)) + 1, name: name,
		book: b, contents: b.contents, missing: make(map[uint64]struct{}),
	}
	b.flows[f.id] = f
	return f
}

// settle closes all flows.
func (b *book) settle() {
	b.mu.Lock()
	flows := make([]*flow, 0, len(b.flows))
	for id := uint64(1); id <= uint64(len(b.flows)); id++ {
		flows = append(flows, b.flows[id])
	}
	b.mu.Unlock()
	for _, f := range flows {
		f.settle()
	}
}

// fault counts one fault, and faults n of the same cause.
func (b *book) fault(f fault, where, what string) { b.faults(f, 1, where, what) }

func (b *book) faults(f fault, n int, where, what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[f] += n
	if len(b.shown) < shownFaults {
		b.shown = append(b.shown, fmt.Sprintf("%s: %s: %s", f, where, what))
	}
}

// count is how many faults there were of each kind, and the first of them.
func (b *book) count() (counts [faultKinds]int, total int, shown []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.counts {
		total += n
	}
	return b.counts, total, append(slices.Clone(b.losses), b.shown...)
}

// lost tells that a tunnel gave up. That is no fault of its own: it makes RPCs
// fail.
func (b *book) lost(err error) {
	b.tunnelLost.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.losses) < shownFaults {
		b.losses = append(b.losses, fmt.Sprintf("tunnel lost: %v", err))
	}
}
