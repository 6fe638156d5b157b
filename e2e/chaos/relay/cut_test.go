package relay

import (
	"context"
	"io"
	"testing"
	"time"
)

func TestCutBothSides(t *testing.T) {
	for _, k := range []Kind{reset, fin} {
		t.Run(k.String(), func(t *testing.T) {
			p := newPair(t)
			end := p.cut(p.greet(), k)
			p.ends(p.client, k == reset)
			p.ends(p.server, k == reset)
			end()
		})
	}
}

func TestCutInPiece(t *testing.T) {
	for range 8 { // in both directions, with luck
		p := newPair(t)
		l := p.greet()
		end := p.cut(l, inMiddle)
		for !l.up.restricted() && !l.down.restricted() {
			Wait(time.Millisecond, nil)
		}
		const n = 64 << 10
		_, _ = p.client.Write(frame(n))
		_, _ = p.server.Write(frame(n))
		up, down := p.over(p.server), p.over(p.client)
		if up == n+4 && down == n+4 {
			t.Error("everything was forwarded")
		}
		end()
		p.hangUp()
	}
}

func (w *way) restricted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.limit != unlimited
}

// In the header's first 13 bytes: the frames are 60 KiB, and what arrives of
// the one way that is cut is whole frames and a bit.
func TestCutInHeader(t *testing.T) {
	const n = 60 << 10
	w := newWay(nil, nil, 1)
	f := frame(n)
	w.frames.feed([]byte(headEnd), false)
	w.take(f[:n/2])
	w.restrict(inFrame, 3)
	if out, hit := w.take(f[n/2 : n]); len(out) != n/2 || hit {
		t.Errorf("%d bytes forwarded, %t", len(out), hit)
	}
	if out, hit := w.take(append(f[n:], f[:2]...)); len(out) != 6 || hit {
		t.Errorf("%d bytes forwarded, %t", len(out), hit)
	}
	if out, hit := w.take(f[2:]); len(out) != 1 || !hit {
		t.Errorf("%d bytes forwarded, %t", len(out), hit)
	}
	if out, hit := w.take(f); len(out) != 0 || hit {
		t.Errorf("%d bytes forwarded after the hit, %t", len(out), hit)
	}
	for range 8 {
		p := newPair(t)
		l := p.greet()
		end := p.cut(l, inHeader)
		for l.up.is(forwarding) && l.down.is(forwarding) {
			_, _ = p.client.Write(frame(100))
			_, _ = p.server.Write(frame(100))
		}
		end()
		_, _ = io.Copy(io.Discard, p.client)
		_, _ = io.Copy(io.Discard, p.server)
		p.hangUp()
	}
}

func TestHalfOpen(t *testing.T) {
	for _, k := range []Kind{muteUp, muteDown} {
		t.Run(k.String(), func(t *testing.T) {
			p := newPair(t)
			l := p.greet()
			muted, from, to, back := l.up, p.client, p.server, p.server
			if k == muteDown {
				muted, from, to, back = l.down, p.server, p.client, p.client
			}
			end := p.cut(l, k)
			for !muted.is(dropping) {
				Wait(time.Millisecond, nil)
			}
			_, _ = from.Write([]byte("dropped"))
			p.quiet(to, 20*time.Millisecond)
			p.pass(back, from, "passes")
			p.over(p.client)
			if n := p.over(p.server); n != 0 && k == muteUp {
				t.Errorf("%d bytes came through", n)
			}
			if rec := end(); rec.Seen.Sub(rec.Start) < 50*time.Millisecond {
				t.Errorf("closed after %v", rec.Seen.Sub(rec.Start))
			}
		})
	}
}

func TestOneSide(t *testing.T) {
	for range 6 { // left unread or dropped, with RST or FIN
		p := newPair(t)
		end := p.cut(p.greet(), clientOnly)
		p.over(p.client)
		closed := time.Now()
		_, _ = p.server.Write([]byte("dropped"))
		p.quiet(p.server, 50*time.Millisecond)
		end()
		p.over(p.server)
		if d := time.Since(closed); d < 90*time.Millisecond {
			t.Errorf("the server's side was closed after %v", d)
		}
		p.hangUp()

		p.connect()
		end = p.cut(p.greet(), serverOnly)
		p.over(p.server)
		_, _ = p.client.Write([]byte("dropped"))
		p.quiet(p.client, 50*time.Millisecond)
		p.over(p.client)
		if rec := end(); rec.Seen.Sub(rec.Start) < 100*time.Millisecond {
			t.Errorf("the client's side was closed after %v", rec.Seen.Sub(rec.Start))
		}
		p.hangUp()
	}
}

func TestCutHandshake(t *testing.T) {
	p := newPair(t)
	if rec, ok := p.r.cutAndArm(p.greet(), maxArmed); !ok || rec.Kind != reset {
		t.Fatalf("%+v, %t", rec, ok)
	}
	p.ends(p.client, true)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range maxArmed {
		p.hangUp()
		p.connect()
		_, _ = p.client.Write(make([]byte, 300))
		_, _ = p.server.Write(make([]byte, 300))
		up, down := p.over(p.server), p.over(p.client)
		if min(up, down) > 200 {
			t.Errorf("%d bytes up and %d down went through", up, down)
		}
		if rec, ok, err := p.r.awaitHandshake(ctx); !ok || err != nil || rec.Kind != handshake {
			t.Errorf("%+v, %t, %v", rec, ok, err)
		}
	}
	p.hangUp()
	p.connect()
	l := p.greet() // no more than maxArmed
	p.pass(p.client, p.server, "passes")

	p.r.armed = 1 // too late for this connection
	if _, ok, err := p.r.awaitHandshake(ctx); ok || err != nil {
		t.Errorf("%t, %v, though none can come", ok, err)
	}
	if !l.usable() {
		t.Error("the connection was cut")
	}
}
