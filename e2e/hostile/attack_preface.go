package main

import (
	"context"
	"crypto/tls"
	"io"
	"time"
)

const silentHTTP2 = 3000 // connections at a time

// silentPrefaces keeps connections that say that they speak HTTP/2, by its first
// bytes or in ALPN, and no more.
func silentPrefaces(ctx context.Context, t *target) {
	config := t.tls.Clone()
	config.NextProtos = []string{"h2"}
	first := clientPreface()
	t.keep(ctx, t.scale(silentHTTP2), time.Second, func(ctx context.Context, i int) {
		c, err := t.connect(ctx, i)
		if err != nil {
			t.failed(ctx)
			return
		}
		defer closeWith(ctx, c)()
		s := tls.Client(c, config)
		if err := s.HandshakeContext(ctx); err != nil {
			t.failed(ctx)
			return
		}
		if i%2 == 0 {
			t.add("silent after ALPN", 1)
		} else {
			_, _ = s.Write(first[:4+i%(len(first)-4)])
			t.add("silent in the preface", 1)
		}
		_, _ = io.Copy(io.Discard, s)
		t.dropped(ctx)
	})
}
