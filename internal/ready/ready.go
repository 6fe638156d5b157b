// Package ready lets grpc read a connection without holding a buffer while it
// waits.
package ready

import (
	"net"

	"google.golang.org/grpc/mem"
)

// BufferSize is that of grpc's buffers, which it takes from pools. With the
// headers beneath, a full one makes one WebSocket frame and eight TLS records.
const BufferSize = 128<<10 - 64

// fewBytes is what a read is expected to bring at least if the one before it
// did. The wait for the next one is then not worth a call of its own.
const fewBytes = 300

// smallSize is with how many bytes a Reader waits for data of a connection that
// cannot wait without.
const smallSize = 512

// readier is a connection that can wait without a buffer.
type readier interface {
	ReadReady(get func() []byte) (int, error)
}

// Reader is the optional interface that grpc looks for in a net.Conn, for a
// connection that embeds it. It is for one reader at a time.
type Reader struct {
	conn    net.Conn
	readier readier          // conn, if it is one
	busy    bool             // the last read brought more than few bytes
	small   *[smallSize]byte // nil if there is a readier

	size int // arguments and result of get, which is kept to save an allocation
	pool mem.BufferPool
	buf  *[]byte
	get  func() []byte
}

// New returns a Reader of c.
func New(c net.Conn) *Reader {
	r := &Reader{conn: c}
	if r.readier, _ = c.(readier); r.readier == nil {
		r.small = new([smallSize]byte)
	}
	r.get = func() []byte {
		if r.buf == nil {
			r.buf = r.pool.Get(r.size)
		}
		return *r.buf
	}
	return r
}

// ReadOnReady waits for data, takes a buffer of bufSize bytes from pool, and
// reads into it. It returns the buffer unless nothing was read.
func (r *Reader) ReadOnReady(bufSize int, pool mem.BufferPool) (b *[]byte, n int, err error) {
	r.size, r.pool, r.buf = bufSize, pool, nil
	if r.readier != nil && !r.busy {
		n, err = r.readier.ReadReady(r.get) // perhaps for long
	} else {
		n, err = r.read()
	}
	r.busy = n >= fewBytes
	if n == 0 && r.buf != nil {
		r.pool.Put(r.buf)
		r.buf = nil
	}
	b, r.pool, r.buf = r.buf, nil, nil
	return b, n, err
}

// read reads into a buffer that it takes at once, or if that would perhaps be
// too early, into the small one first.
func (r *Reader) read() (n int, err error) {
	if r.busy {
		return r.conn.Read(r.get())
	}
	if n, err = r.conn.Read(r.small[:min(r.size, smallSize)]); n > 0 {
		copy(r.get(), r.small[:n])
	}
	return n, err
}
