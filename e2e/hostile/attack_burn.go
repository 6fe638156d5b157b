package main

import (
	"context"
	"crypto/sha256"
	"runtime"
)

// burn keeps all processors busy. It shows what an attacker's own work costs
// the honest callers on this machine.
func burn(ctx context.Context, t *target) {
	t.keep(ctx, runtime.GOMAXPROCS(0), 0, func(context.Context, int) {
		var b [64 << 10]byte
		for range 100 {
			copy(b[:], sha256.New().Sum(b[:0]))
			_ = sha256.Sum256(b[:])
		}
		t.add("hashes", 100)
	})
}
