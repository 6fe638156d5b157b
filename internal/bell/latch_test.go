package bell

import (
	"sync"
	"testing"
)

// TestLatch closes a Latch that is waited for, and one that is not.
func TestLatch(t *testing.T) {
	var waited, unwaited Latch
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { <-waited.Done() })
	}
	wg.Go(waited.Close)
	for range 2 {
		unwaited.Close()
	}
	wg.Wait()
	for _, l := range []*Latch{&waited, &unwaited} {
		<-l.Done()
		if !l.IsClosed() {
			t.Error("it is closed, and says that it is not")
		}
	}
	var open Latch
	select {
	case <-open.Done():
		t.Error("one that is open tells that it is closed")
	default:
	}
	if open.IsClosed() {
		t.Error("one that is open says that it is closed")
	}
}
