package resume

import "sync/atomic"

// Budget bounds the memory that several Conns keep for replay. A Conn for
// which there is none left keeps no more than one block of 16 KiB and waits for
// its peer's acknowledgements sooner. It may be used concurrently.
type Budget struct {
	max   int64
	used  atomic.Int64
	whole *Budget // which this one is a share of; nil if it is none
}

// NewBudget returns a Budget of max bytes.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// share returns a Budget of a part of b: what is taken from it is taken from b.
func (b *Budget) share(part int64) *Budget { return &Budget{max: b.max / part, whole: b} }

// Used returns how many bytes are in use.
func (b *Budget) Used() int64 { return b.used.Load() }

// Exhausted reports whether nothing is left.
func (b *Budget) Exhausted() bool { return b != nil && b.used.Load() >= b.max }

// has reports whether n bytes are left.
func (b *Budget) has(n int) bool {
	return b == nil || b.used.Load()+int64(n) <= b.max && b.whole.has(n)
}

// isTight reports whether more than half is used: nobody gets more than to begin
// with then.
func (b *Budget) isTight() bool {
	return b != nil && (b.used.Load() > b.max/2 || b.whole.isTight())
}

// take takes n bytes if they are left, or in any case if force is set.
func (b *Budget) take(n int, force bool) bool {
	if b == nil {
		return true
	}
	if b.used.Add(int64(n)) > b.max && !force || !b.whole.take(n, force) {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

func (b *Budget) give(n int) {
	if b != nil {
		b.used.Add(-int64(n))
		b.whole.give(n)
	}
}
