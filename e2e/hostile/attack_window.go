package main

import (
	"context"
	"math"
)

// windowViolations commits one violation after the other, each on a tunnel of
// its own.
func windowViolations(ctx context.Context, t *target) {
	syn := appendMux(nil, muxWindow, flagSYN, 1, 0)
	kinds := []struct {
		name  string
		after []byte // a SYN
	}{
		{"data beyond the window", append(appendMux(nil, muxData, 0, 1, 1<<30), make([]byte, 32<<10)...)},
		{"windows of 2^32", appendMux(nil, muxWindow, 0, 1, math.MaxUint32)},
		{"data after FIN", append(appendMux(appendMux(nil, muxWindow, flagFIN, 1, 0), muxData, 0, 1, 1), 0)},
		{"second SYNs", appendMux(nil, muxWindow, flagSYN, 1, 0)},
	}
	t.keep(ctx, len(kinds), cutPause, func(ctx context.Context, i int) {
		s, ok := t.open(ctx, i, hostile)
		if !ok {
			return
		}
		defer func() { _ = s.Close() }()
		b := append(append([]byte{}, syn...), kinds[i].after...)
		t.provoked(ctx, s, kinds[i].name, binaryFrame(b))
	})
}

// unknownStreams floods tunnels with frames that the server has to drop.
func unknownStreams(ctx context.Context, t *target) {
	data, n := repeated(append(appendMux(nil, muxData, 0, 99, 1), 0))
	windows, m := repeated(appendMux(nil, muxWindow, 0, 99, 1))
	t.keep(ctx, 2, cutPause, func(ctx context.Context, i int) {
		if i == 0 {
			t.floodTunnel(ctx, i, hostile, true, "data frames", same(binaryFrame(data), n))
		} else {
			t.floodTunnel(ctx, i, hostile, true, "window updates", same(binaryFrame(windows), m))
		}
	})
}
