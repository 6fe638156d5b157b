// Package ready lets grpc read a connection without holding a buffer while it
// waits.
package ready

import (
	"net"

	"google.golang.org/grpc/mem"
)

// fewBytes is what a read is expected to bring at least if the one before it
// did. The wait for the next one is then not worth a call of its own.
const fewBytes = 512

// waiter is a connection that can tell when Read would not block.
type waiter interface{ Wait() }

// Reader is the optional interface that grpc looks for in a net.Conn, for a
// connection that embeds it. It is for one reader at a time.
type Reader struct {
	conn net.Conn
	wait waiter // nil if conn cannot tell
	busy bool   // the last read brought more than few bytes
}

// New returns a Reader of c.
func New(c net.Conn) *Reader {
	w, _ := c.(waiter)
	return &Reader{conn: c, wait: w}
}

// ReadOnReady waits for data, takes a buffer of bufSize bytes from pool, and
// reads into it. It returns the buffer unless nothing was read.
func (r *Reader) ReadOnReady(bufSize int, pool mem.BufferPool) (b *[]byte, n int, err error) {
	if r.wait != nil && !r.busy {
		r.wait.Wait()
	}
	b = pool.Get(bufSize)
	n, err = r.conn.Read(*b)
	r.busy = n >= fewBytes
	if n == 0 {
		pool.Put(b)
		return nil, 0, err
	}
	return b, n, err
}
