package main

import (
	"context"
	"sync"
	"time"
)

const (
	abandonedASecond = 200
	abandoners       = 16 // who each leave megabytes behind
	toFill           = 500 * time.Millisecond
)

// abandoned leaves tunnels behind that the server keeps for their clients to
// resume, with nothing in them or with as much as fits.
func abandoned(ctx context.Context, t *target) {
	together(
		func() {
			t.paced(ctx, abandonedASecond, func(ctx context.Context, i int) {
				s, ok := t.open(ctx, i, upgrade{token: "attacker", resume: true})
				if !ok {
					return
				}
				if s.session != "" {
					t.add("sessions left behind", 1)
				}
				_ = s.Close()
			})
		},
		func() {
			t.keep(ctx, t.scale(abandoners), 0, func(ctx context.Context, i int) {
				s := t.stall(i, false)
				call, cancel := context.WithCancel(ctx)
				var wg sync.WaitGroup
				wg.Go(func() { t.bulk(call, s) })
				wait(toFill, ctx.Done())
				s.cut() // before gRPC can say that the call was cancelled
				cancel()
				wg.Wait()
				t.add("sessions left full", 1)
				s.end()
			})
		},
	)
}
