package main

import (
	"context"
	"sync"
	"time"
)

const (
	unreadTunnels = 16
	unreadCalls   = 16 // in each
)

// unread starts RPCs of which it reads nothing. Their tunnels end with their
// WebSocket.
func unread(ctx context.Context, t *target) {
	t.keep(ctx, t.scale(unreadTunnels), time.Second, func(ctx context.Context, i int) {
		s := t.stall(i, true)
		defer s.end()
		var wg sync.WaitGroup
		for range unreadCalls {
			wg.Go(func() { t.bulk(ctx, s) })
		}
		wg.Wait()
		t.dropped(ctx)
	})
}
