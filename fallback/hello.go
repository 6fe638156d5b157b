package fallback

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"culvert/internal/cork"
)

// A ClientHello with a post-quantum key share takes more than one packet, and
// there are middleboxes that reset or drop it. One that nobody answers is
// repeated once without that share, on another connection.

// smallerFor is how long a destination is spared the large one.
const smallerFor = defaultRecheck

// repeatPause is how long after a repetition that failed there is no other.
const repeatPause = 30 * time.Second

// postQuantum are the key exchanges whose shares are large.
//
//nolint:gochecknoglobals // never changed
var postQuantum = []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024}

// smaller returns cfg without post-quantum key shares, nil if it has none.
func smaller(cfg *tls.Config) *tls.Config {
	curves := slices.DeleteFunc(slices.Clone(cfg.CurvePreferences), func(id tls.CurveID) bool {
		return slices.Contains(postQuantum, id)
	})
	switch {
	case cfg.CurvePreferences == nil:
		curves = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	case len(curves) == len(cfg.CurvePreferences) || len(curves) == 0:
		return nil
	}
	cfg = cfg.Clone()
	cfg.CurvePreferences = curves
	return cfg
}

// handshake is how one TLS handshake ended.
type handshake struct {
	conn    *tls.Conn
	err     error
	smaller bool // without the post-quantum key share
	silent  bool // the peer sent nothing at all
}

// secure does TLS on c, a connection to addr, offering protos.
func (t *target) secure(ctx context.Context, c net.Conn, addr string, protos []string) (net.Conn, error) {
	h := t.shake(ctx, c, addr, t.dialer.tlsConfig(t.dest, protos))
	if h.err != nil {
		t.dialer.Trace.tlsDone(t.name, tls.ConnectionState{}, h.err)
		return nil, fmt.Errorf("fallback: TLS with %s: %w", t.name, explainTLS(h.err))
	}
	t.dialer.Trace.tlsDone(t.name, h.conn.ConnectionState(), nil)
	return h.conn, nil
}

// shake does the handshake on c, and another one with a smaller ClientHello if
// nothing comes back. It returns the first that succeeds.
func (t *target) shake(ctx context.Context, c net.Conn, addr string, cfg *tls.Config) handshake {
	small := smaller(cfg)
	if small == nil {
		return greetTLS(ctx, c, cfg, nil)
	}
	if t.sparesHello() {
		return greetTLS(ctx, c, small, nil)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var heard atomic.Bool
	ended := make(chan handshake, 2)
	running, repeated := 1, false
	go func() { ended <- greetTLS(ctx, c, cfg, &heard) }()
	repeat := func() {
		running, repeated = running+1, true
		go func() { ended <- t.shakeSmaller(ctx, addr, small) }()
	}
	silent := time.NewTimer(patience)
	defer silent.Stop()
	var failed handshake
	for running > 0 {
		select {
		case <-silent.C:
			if !repeated && !heard.Load() && t.mayRepeatHello() {
				repeat()
			}
		case h := <-ended:
			running--
			if h.err == nil {
				cancel()
				t.shook(h, ended, running)
				return h
			}
			if failed.err == nil || failed.smaller {
				failed = h
			}
			if h.silent && !repeated && ctx.Err() == nil && t.mayRepeatHello() {
				repeat()
			}
		}
	}
	if repeated {
		if ctx.Err() == nil {
			t.smallerFailed()
		}
		failed.err = fmt.Errorf("%w (without the post-quantum key share in the ClientHello too)", failed.err)
	}
	return failed
}

// shakeSmaller does the handshake on another connection.
func (t *target) shakeSmaller(ctx context.Context, addr string, cfg *tls.Config) handshake {
	c, err := t.reach(ctx, addr)
	if err != nil {
		return handshake{err: err, smaller: true}
	}
	h := greetTLS(ctx, c, cfg, nil)
	h.smaller = true
	return h
}

// shook takes note of the handshake that succeeded, and waits for the other if
// one runs.
func (t *target) shook(h handshake, ended <-chan handshake, running int) {
	if h.smaller {
		t.spareHello()
	}
	for range running {
		if late := <-ended; late.conn != nil {
			_ = late.conn.Close()
		}
	}
}

// greetTLS does one handshake on c, which it closes if that fails. heard is set
// when the peer has sent anything; it may be nil.
func greetTLS(ctx context.Context, c net.Conn, cfg *tls.Config, heard *atomic.Bool) handshake {
	if heard == nil {
		heard = new(atomic.Bool)
	}
	beneath := cork.New(&listening{Conn: c, heard: heard})
	t := tls.Client(beneath, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return handshake{err: causeOr(ctx, err), silent: !heard.Load()}
	}
	beneath.MoveTo(c)
	return handshake{conn: t}
}

// listening is a connection that tells when something came.
type listening struct {
	net.Conn

	heard *atomic.Bool
}

// Read implements net.Conn.
func (l *listening) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(true)
	}
	return n, err
}

// sparesHello reports whether t's ClientHellos are small for now.
func (t *target) sparesHello() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().Before(t.smallHello)
}

// mayRepeatHello reports whether a ClientHello that nobody answered is repeated
// with a smaller one: now and then, since a server that is away answers neither.
func (t *target) mayRepeatHello() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().After(t.nextSmaller)
}

// smallerFailed notes that nobody answered the smaller one either.
func (t *target) smallerFailed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nextSmaller = time.Now().Add(repeatPause)
}

// spareHello makes them small, and says so once.
func (t *target) spareHello() {
	t.mu.Lock()
	before := t.smallHello
	t.smallHello = time.Now().Add(smallerFor)
	t.mu.Unlock()
	if before.IsZero() {
		t.dialer.logger().Warn("fallback: a middlebox drops large ClientHellos; the post-quantum key share is left out", "target", t.name)
	}
}
