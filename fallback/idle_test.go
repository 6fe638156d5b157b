package fallback_test

import (
	"runtime"
	"testing"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"culvert/fallback"
	"culvert/internal/ready"
	"culvert/listener"
)

// TestIdleHoldsNoBuffer leaves native connections alone after a call: neither end
// holds a buffer that grpc reads with, which is larger than all else that a
// connection has.
func TestIdleHoldsNoBuffer(t *testing.T) {
	const conns = 20
	for _, secure := range []bool{true, false} {
		for _, mode := range []fallback.Mode{fallback.Auto, fallback.Native} {
			t.Run(modeName(mode, secure), func(t *testing.T) {
				f := start(t, secure, listener.Config{}, &fallback.Dialer{Mode: mode})
				call := func() {
					if _, err := f.client(t).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
						t.Fatal(err)
					}
				}
				call() // for what is made once
				before := liveBytes()
				for range conns {
					call()
				}
				each := (liveBytes() - before) / conns
				t.Logf("%d bytes", each)
				if each > ready.BufferSize {
					t.Errorf("an idle connection has %d bytes, want less than a buffer of %d", each, ready.BufferSize)
				}
			})
		}
	}
}

// liveBytes returns how much of the heap is in use. Two collections empty pools.
func liveBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
