package wsconn

import (
	"net"
	"sync"

	"github.com/gobwas/ws"
)

// smallFrame is the payload size up to which a frame is built in a small
// buffer, so that a busy connection of short messages touches little memory.
const smallFrame = 2<<10 - ws.MaxHeaderSize

// frameBuf is a pooled buffer that one outgoing frame is built in.
type frameBuf struct {
	b    []byte
	vec  [3][]byte   // memory of vecs
	vecs net.Buffers // what goes into one writev, b first
}

// Outgoing frames are built in buffers that all connections share; a
// connection that is not writing holds none.
var (
	smallBufs = sync.Pool{New: func() any { return &frameBuf{b: make([]byte, 0, smallFrame+ws.MaxHeaderSize)} }}
	largeBufs = sync.Pool{New: func() any { return &frameBuf{b: make([]byte, 0, defaultMaxFrame+ws.MaxHeaderSize)} }}
)

// getBuf returns an empty buffer for a frame with a payload of n bytes.
func getBuf(n int) *frameBuf {
	switch {
	case n <= smallFrame:
		return smallBufs.Get().(*frameBuf)
	case n <= defaultMaxFrame:
		return largeBufs.Get().(*frameBuf)
	default:
		return &frameBuf{b: make([]byte, 0, n+ws.MaxHeaderSize)}
	}
}

// putBuf returns f to its pool. The caller must not use f.b afterwards.
func putBuf(f *frameBuf) {
	f.b = f.b[:0]
	if f.vecs != nil {
		f.vec, f.vecs = [3][]byte{}, nil
	}
	switch cap(f.b) {
	case smallFrame + ws.MaxHeaderSize:
		smallBufs.Put(f)
	case defaultMaxFrame + ws.MaxHeaderSize:
		largeBufs.Put(f)
	}
}
