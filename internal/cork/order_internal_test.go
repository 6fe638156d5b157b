package cork

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// TestOrder has others write beside Write, as TLS does to answer a KeyUpdate:
// each write with TLS's lock held. All arrives in that order.
func TestOrder(t *testing.T) {
	near, far := net.Pipe()
	c := New(near)
	var out sync.Mutex // TLS's
	var next uint32
	record := func() {
		out.Lock()
		defer out.Unlock()
		b := make([]byte, oneRecord/4)
		binary.BigEndian.PutUint32(b, next)
		next++
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
	}
	const rounds = 200
	var wg sync.WaitGroup
	wg.Go(func() {
		for range rounds {
			c.cork()
			for range 10 {
				record()
			}
			if err := c.uncork(); err != nil {
				t.Error(err)
			}
			record() // which is after one that waited for uncork
		}
	})
	wg.Go(func() {
		for range 10 * rounds {
			record()
		}
	})
	b := make([]byte, oneRecord/4)
	for want := range uint32(21 * rounds) {
		if _, err := io.ReadFull(far, b); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(b); got != want {
			t.Fatalf("got record %d, want %d", got, want)
		}
	}
	wg.Wait()
}
