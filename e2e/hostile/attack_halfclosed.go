package main

import (
	"context"
	"time"
)

const halfClosedSockets = 500

// halfClosed shuts sockets down for writing, and keeps them: with or without
// saying so in TLS, and with or without streams.
func halfClosed(ctx context.Context, t *target) {
	t.keep(ctx, t.scale(halfClosedSockets), time.Second, func(ctx context.Context, i int) {
		s, ok := t.open(ctx, i, upgrade{token: "attacker", raw: i%4 == 3})
		if !ok {
			return
		}
		defer func() { _ = s.Close() }()
		if i%4 == 1 {
			b := appendMux(nil, muxWindow, flagSYN, 1, 0)
			first := clientPreface()
			b = append(appendMux(b, muxData, 0, 1, uint32(len(first))), first...)
			_, _ = s.Write(binaryFrame(b))
		}
		if i%2 == 0 {
			_ = s.CloseWrite()
			t.add("half-closed in TLS", 1)
		} else {
			_ = s.tcp.CloseWrite()
			t.add("half-closed in TCP", 1)
		}
		select {
		case <-s.drain():
			t.dropped(ctx)
		case <-ctx.Done():
		}
	})
}
