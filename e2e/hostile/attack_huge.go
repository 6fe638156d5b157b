package main

import (
	"context"
	"math"
	"time"
)

const (
	hugeConnections = 200
	trickleSize     = 1 << 10
	tricklePace     = 100 * time.Millisecond
)

// hugeFrames declares frames far longer than memory, and sends a little of each.
func hugeFrames(ctx context.Context, t *target) {
	const most = 1<<63 - 1
	kinds := []struct {
		name  string
		begin []byte
	}{
		{"frames of 2^63-1", appendHead(nil, opBinary, most)},
		{"frames of 2^63", appendHead(nil, opBinary, most+1)},
		{"texts of 2^63-1", appendHead(nil, opText, most)},
		{"PINGs of 2^63-1", appendHead(nil, opPing, most)},
		{"frames of 2^63-1 that are a yamux frame of 2^32-1",
			appendMux(appendHead(nil, opBinary, most), muxData, 0, 99, math.MaxUint32)},
		{"frames of 2^63-1 that are a yamux frame of 4 MiB",
			appendMux(appendMux(appendHead(nil, opBinary, most), muxWindow, flagSYN, 1, 0), muxData, 0, 1, 4<<20)},
		{"yamux frames of 2^32-1 that open a stream",
			binaryFrame(appendMux(nil, muxData, flagSYN, 1, math.MaxUint32))},
	}
	t.keep(ctx, t.scale(hugeConnections), time.Second, func(ctx context.Context, i int) {
		k := kinds[i%len(kinds)]
		s, ok := t.open(ctx, i, hostile)
		if !ok {
			return
		}
		defer func() { _ = s.Close() }()
		s.drain()
		_, _ = s.Write(k.begin)
		t.add(k.name, 1)
		t.flood(ctx, s, "bytes after them", func() ([]byte, int) {
			wait(tricklePace, ctx.Done())
			return make([]byte, trickleSize), trickleSize
		})
		t.dropped(ctx)
	})
}
