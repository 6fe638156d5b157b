package fallback_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"culvert/fallback"
)

// TestHangingNetwork does not let a Dialer wait whose network works, because
// another Dialer's does not.
func TestHangingNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		stuck := w.dialer()
		stuck.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = stuck.DialContext(ctx, w.origin) }()
		<-time.After(100 * time.Millisecond)
		begin := time.Now()
		c, err := w.dialer().DialContext(t.Context(), w.origin)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if after := time.Since(begin); after > 500*time.Millisecond {
			t.Errorf("took %v, want no waiting", after)
		}
	})
}

// TestHangingAddress does not let one address wait for another one.
func TestHangingAddress(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		d := w.dialer()
		d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "10.99.99.99:443" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return w.net.Dial(ctx, network, addr)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = d.DialContext(ctx, "10.99.99.99:443") }()
		w.unary(w.client(d, w.origin))
		if got := d.Status(w.origin).Way; got != fallback.Direct {
			t.Errorf("got %v, want native", got)
		}
	})
}

// TestRefusedPort reports a port at which nobody listens at once, as grpc-go does,
// and tries no tunnel.
func TestRefusedPort(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		d := w.dialer()
		d.Trace = &fallback.Trace{Upgraded: func(string, error) { t.Error("the tunnel was dialled") }}
		begin := time.Now()
		_, err := d.DialContext(t.Context(), w.front)
		if err == nil || time.Since(begin) > 2*delay {
			t.Errorf("got %v after %v, want an error at once", err, time.Since(begin))
		}
		if got := d.Status(w.front); got.Failures != 0 || got.Way != fallback.Undecided {
			t.Errorf("got %+v, want nothing counted", got)
		}
	})
}

// TestProxyChosenAnew asks for the proxy at each dial, by name.
func TestProxyChosenAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		d := w.dialer()
		var mu sync.Mutex
		var asked []string
		d.Proxy = func(r *http.Request) (*url.URL, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, r.URL.String())
			return nil, nil //nolint:nilnil // no proxy
		}
		for range 2 {
			mu.Lock()
			asked = nil
			mu.Unlock()
			c, err := d.DialContext(t.Context(), w.origin)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
			mu.Lock()
			if len(asked) == 0 || asked[0] != "https://"+w.origin {
				t.Errorf("got %q, want https://%s to be asked for", asked, w.origin)
			}
			mu.Unlock()
		}
	})
}
