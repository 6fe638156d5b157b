package main

import (
	"context"
	"time"
)

const detachedTunnels = 100

// detachedStreams opens tunnels with as many gRPC connections as they take, and
// leaves them behind: the server keeps them for their client to come back.
func detachedStreams(ctx context.Context, t *target) {
	t.keep(ctx, t.scale(detachedTunnels), time.Second, func(ctx context.Context, i int) {
		s, ok := t.open(ctx, i, upgrade{token: "attacker", resume: true})
		if !ok {
			return
		}
		defer func() { _ = s.Close() }()
		over := s.drain()
		if _, err := s.Write(binaryFrame(idleConnections())); err != nil {
			t.dropped(ctx)
			return
		}
		t.add("gRPC connections", streamsOfATunnel)
		select {
		case <-over:
			t.dropped(ctx)
		case <-time.After(toFill):
			t.add("tunnels left behind", 1)
		case <-ctx.Done():
		}
	})
}
