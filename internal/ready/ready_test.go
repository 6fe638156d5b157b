package ready

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc/mem"
)

// countingPool counts the buffers that are out.
type countingPool struct {
	mem.BufferPool

	out int
}

func (p *countingPool) Get(n int) *[]byte { p.out++; return p.BufferPool.Get(n) }
func (p *countingPool) Put(b *[]byte)     { p.out--; p.BufferPool.Put(b) }

// gated is a connection that says when a Read of it begins, and how many buffers
// are out then.
type gated struct {
	net.Conn

	pool    *countingPool
	reading chan int
}

func (g gated) Read(p []byte) (int, error) {
	g.reading <- g.pool.out
	return g.Conn.Read(p)
}

// TestReadOnReady reads messages of all sizes, with buffers of several, and looks
// whether a buffer was taken while a read waited that was not expected to bring
// much.
func TestReadOnReady(t *testing.T) {
	for _, bufSize := range []int{1, 100, smallSize, smallSize + 1, BufferSize} {
		near, far := net.Pipe()
		pool := &countingPool{BufferPool: Buffers}
		reading := make(chan int)
		r := New(gated{near, pool, reading})
		type result struct {
			b   []byte
			err error
			out int // how many buffers are out then
		}
		results := make(chan result)
		go func() {
			for {
				b, n, err := r.ReadOnReady(bufSize, pool)
				res := result{err: err}
				if b != nil {
					res.b = bytes.Clone((*b)[:n])
					pool.Put(b)
				}
				res.out = pool.out
				results <- res
				if err != nil {
					return
				}
			}
		}()
		last := 0 // how much the last read brought
		for _, size := range []int{1, fewBytes - 1, fewBytes, 3000, 1, 1} {
			want := bytes.Repeat([]byte("ready"), size/5+1)[:size]
			wrote := make(chan error, 1)
			var got []byte
			for len(got) < size {
				if out := <-reading; out != 0 && last < fewBytes {
					t.Errorf("size %d: %d buffers are out while nothing has come", bufSize, out)
				}
				if len(got) == 0 {
					go func() { _, err := far.Write(want); wrote <- err }()
				}
				res := <-results
				if res.err != nil {
					t.Fatal(res.err)
				}
				got = append(got, res.b...)
				last = len(res.b)
			}
			if err := <-wrote; err != nil || !bytes.Equal(got, want) {
				t.Errorf("size %d: %d bytes came as %q (%v)", bufSize, size, got, err)
			}
		}
		_ = far.Close()
		<-reading
		if res := <-results; !errors.Is(res.err, io.EOF) || res.b != nil || res.out != 0 {
			t.Errorf("size %d: got %q, %v at the end, and %d buffers out", bufSize, res.b, res.err, res.out)
		}
	}
}
