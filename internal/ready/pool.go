package ready

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// Buffers is where grpc takes memory for messages from. Its own pool has nothing
// between 32 KiB and 1 MiB: a message of 64 KiB costs 1 MiB there. The sizes
// leave room for what is around a round number of bytes.
var Buffers mem.BufferPool = newPool( //nolint:gochecknoglobals // shared, as grpc's own is
	256, 4<<10, 16<<10, roomy(32), roomy(64), roomy(128), roomy(256), roomy(512), roomy(1024),
)

// roomy returns so many KiB and a bit more.
func roomy(kib int) int { return kib<<10 + kib<<5 }

// pool is a mem.BufferPool that does not clear what it hands out, as grpc's own
// ones do: for large messages that is a good part of the processor's time. Who
// takes a buffer has to write before he reads, as grpc does.
type pool struct {
	sizes []int // smallest first
	pools []sync.Pool
	above mem.BufferPool
}

func newPool(sizes ...int) *pool {
	return &pool{sizes: sizes, pools: make([]sync.Pool, len(sizes)), above: mem.NewTieredBufferPool()}
}

// Get implements mem.BufferPool.
func (p *pool) Get(n int) *[]byte {
	for i, size := range p.sizes {
		if n > size {
			continue
		}
		b, ok := p.pools[i].Get().(*[]byte)
		if !ok {
			fresh := make([]byte, size)
			b = &fresh
		}
		*b = (*b)[:n]
		return b
	}
	return p.above.Get(n)
}

// Put implements mem.BufferPool. A buffer that Get would not have made is left to
// the garbage collector.
func (p *pool) Put(b *[]byte) {
	for i, size := range p.sizes {
		if cap(*b) == size {
			p.pools[i].Put(b)
			return
		}
	}
	if cap(*b) > p.sizes[len(p.sizes)-1] {
		p.above.Put(b)
	}
}
