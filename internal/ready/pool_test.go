package ready

import "testing"

// TestPool gets buffers of every size, which are as long as they were asked for
// and not much larger, gives them back, and some that the pool did not make.
func TestPool(t *testing.T) {
	p := newPool(256, 4<<10, roomy(64))
	for _, n := range []int{0, 1, 255, 256, 257, 4 << 10, 4<<10 + 1, 64 << 10, roomy(64), roomy(64) + 1, 1 << 20} {
		b := p.Get(n)
		if len(*b) != n {
			t.Errorf("got %d bytes, want %d", len(*b), n)
		}
		if n <= roomy(64) && cap(*b) > max(256, 17*n) {
			t.Errorf("got room for %d bytes, want not that much more than %d", cap(*b), n)
		}
		for i := range *b {
			(*b)[i] = byte(i)
		}
		*b = (*b)[:n/2] // as grpc may do
		p.Put(b)
		foreign := make([]byte, 300)
		p.Put(&foreign)
		if again := p.Get(n); len(*again) != n {
			t.Errorf("got %d bytes again, want %d", len(*again), n)
		}
	}
}
