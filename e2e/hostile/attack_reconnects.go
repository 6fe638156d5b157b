package main

import (
	"context"
	"time"
)

const (
	reconnectsASecond = 1000
	reconnecters      = 64 // who take turns
	burst             = 10 * time.Millisecond
)

// reconnects opens tunnels at a rate, if the machine can do it, and closes each
// at once.
func reconnects(ctx context.Context, t *target) {
	t.paced(ctx, reconnectsASecond, func(ctx context.Context, i int) {
		if s, ok := t.open(ctx, i, hostile); ok {
			_ = s.Close()
			t.add("closed", 1)
		}
	})
}

// paced does something n times a second, or as often as it can. i counts.
func (t *target) paced(ctx context.Context, n int, do func(ctx context.Context, i int)) {
	turns := make(chan int)
	together(
		func() {
			defer close(turns)
			tick := time.NewTicker(burst)
			defer tick.Stop()
			for i := 0; ; {
				for range max(1, n/int(time.Second/burst)) {
					select {
					case turns <- i:
						i++
					case <-ctx.Done():
						return
					}
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		},
		func() {
			t.keep(ctx, reconnecters, 0, func(ctx context.Context, _ int) {
				if i, ok := <-turns; ok {
					do(ctx, i)
				}
			})
		},
	)
}
