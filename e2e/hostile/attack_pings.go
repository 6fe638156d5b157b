package main

import (
	"context"
	"time"
)

// cutPause is how long an attacker who was cut off waits before he comes back:
// who does that at speed is an attack of its own.
const cutPause = 50 * time.Millisecond

// wsPings floods tunnels with control frames and texts, which the server limits.
func wsPings(ctx context.Context, t *target) {
	long := make([]byte, 125)
	kinds := []struct {
		name  string
		frame []byte
		ask   upgrade
		reads bool
	}{
		{"PINGs", appendFrame(nil, opPing, long), hostile, true},
		{"PINGs", appendFrame(nil, opPing, nil), hostile, false},
		{"PONGs", appendFrame(nil, opPong, nil), hostile, true},
		{"texts", appendFrame(nil, opText, []byte("ping")), upgrade{token: "attacker", resume: true}, true},
		{"texts", appendFrame(nil, opText, []byte("ping")), upgrade{token: "attacker", resume: true}, false},
		{"texts", appendFrame(nil, opText, []byte("ack 0")), upgrade{token: "attacker", resume: true}, true},
	}
	t.keep(ctx, len(kinds), cutPause, func(ctx context.Context, i int) {
		k := kinds[i]
		b, n := repeated(k.frame)
		t.floodTunnel(ctx, i, k.ask, k.reads, k.name, same(b, n))
	})
}

// muxPings floods tunnels with pings of yamux.
func muxPings(ctx context.Context, t *target) {
	b, n := repeated(appendMux(nil, muxPing, flagSYN, 0, 42))
	t.keep(ctx, 4, cutPause, func(ctx context.Context, i int) {
		t.floodTunnel(ctx, i, hostile, i%2 == 0, "pings", same(binaryFrame(b), n))
	})
}

// floodTunnel opens a tunnel and floods it.
func (t *target) floodTunnel(ctx context.Context, i int, u upgrade, reads bool, name string, next func() ([]byte, int)) {
	s, ok := t.open(ctx, i, u)
	if !ok {
		return
	}
	defer func() { _ = s.Close() }()
	if reads {
		s.drain()
	}
	t.flood(ctx, s, name, next)
	t.dropped(ctx)
}
