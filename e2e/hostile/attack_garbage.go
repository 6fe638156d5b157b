package main

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

const (
	garbageClients = 4
	garbageSize    = 16 << 10
)

// garbage opens tunnels one after the other and sends what has no meaning.
func garbage(ctx context.Context, t *target) {
	inFrame := func(first byte, n int) func(r *rand.ChaCha8) []byte {
		return func(r *rand.ChaCha8) []byte { return appendFrame(nil, first, randomBytes(r)[:n]) }
	}
	kinds := []struct {
		name   string
		make   func(*rand.ChaCha8) []byte
		resume bool
	}{
		{"of random bytes", randomBytes, false},
		{"of random frames", randomFrames, false},
		{"of random yamux headers", randomHeaders, false},
		{"of random bytes in frames", inFrame(opBinary, garbageSize), false},
		{"of random texts", inFrame(opText, 20), true}, // which end a session
	}
	t.keep(ctx, garbageClients, 0, func(ctx context.Context, i int) {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], rand.Uint64())
		r := rand.NewChaCha8(seed)
		k := kinds[r.Uint64()%uint64(len(kinds))]
		n := r.Uint64()
		s, ok := t.open(ctx, int(n%addresses), upgrade{token: "attacker", raw: n%5 == 0 && !k.resume, resume: k.resume})
		if !ok {
			return
		}
		defer func() { _ = s.Close() }()
		over := s.drain()
		_, _ = s.Write(k.make(r))
		t.add(k.name, 1)
		limit := time.NewTimer(20 * time.Millisecond) // not all of it is wrong
		defer limit.Stop()
		select {
		case <-over:
			t.dropped(ctx)
		case <-limit.C:
		case <-ctx.Done():
		}
	})
}

func randomBytes(r *rand.ChaCha8) []byte {
	b := make([]byte, garbageSize)
	_, _ = r.Read(b)
	return b
}

// randomFrames returns frames of RFC 6455 that are right by themselves.
func randomFrames(r *rand.ChaCha8) []byte {
	var b []byte
	for _, x := range randomBytes(r)[:200] {
		first := []byte{opBinary, opText, opPing, opPong, 0x00, 0x80, 0x02}[x%7]
		b = appendFrame(b, first, randomBytes(r)[:x&0x7d])
	}
	return b
}

// randomHeaders returns frames of yamux that are right by themselves, of few
// streams, and some of which mean nothing.
func randomHeaders(r *rand.ChaCha8) []byte {
	var b []byte
	for range 500 {
		x := r.Uint64()
		kind, flags, stream := byte(x%3), uint16(x>>8&0xf), uint32(x>>16&0x1f)
		length := uint32(x >> 32 & 0x7f)
		b = appendMux(b, kind, flags, stream, length)
		if kind == muxData {
			b = append(b, make([]byte, length)...)
		}
	}
	return binaryFrame(b)
}
