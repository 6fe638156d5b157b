package fallback_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/fallback"
	"culvert/wsconn"
)

// TestBlackHole is through the tunnel in under 2 s where h2 is swallowed.
func TestBlackHole(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.relay(swallow)
		d := w.dialer()
		if got := w.unary(w.client(d, w.front)); got >= 2*time.Second {
			t.Errorf("first RPC: got %v, want under 2 s", got)
		}
		if got := d.Status(w.front); got.Way != fallback.Tunnel || !strings.Contains(got.Reason, "no answer within 1s") {
			t.Errorf("got %v (%s), want the tunnel for silence", got.Way, got.Reason)
		}
	})
}

// TestHedge is through the tunnel soon where h2 is cut.
func TestHedge(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		r := w.relay(cut)
		d := w.dialer()
		if got := w.unary(w.client(d, w.front)); got >= 2*time.Second {
			t.Errorf("first RPC: got %v, want under 2 s", got)
		}
		if got := d.Status(w.front); got.Way != fallback.Tunnel || got.NextProbe.IsZero() {
			t.Errorf("got %+v, want the tunnel and a probe to come", got)
		}
		before := r.offers.Load()
		w.unary(w.client(d, w.front))
		if got := r.offers.Load(); got != before {
			t.Errorf("another ClientConn: got %d native dials, want 0", got-before)
		}
	})
}

// TestStrict makes exactly ten native attempts, and then the tunnel.
func TestStrict(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		r := w.relay(cut)
		d := w.dialer()
		d.HedgeDelay = -1
		var attempts atomic.Int64
		d.Trace = &fallback.Trace{NativeFailed: func(_ string, n int, _ error) {
			if attempts.Add(1); r.others.Load() != 0 {
				t.Errorf("attempt %d: the tunnel was dialled already", n)
			}
		}}
		w.unary(w.client(d, w.front))
		if got := attempts.Load(); got != 10 {
			t.Errorf("native attempts: got %d, want 10", got)
		}
		if got := d.Status(w.front).Way; got != fallback.Tunnel {
			t.Errorf("way: got %v, want the tunnel", got)
		}
	})
}

// TestBothShut names both causes, within the caller's deadline.
func TestBothShut(t *testing.T) {
	for name, treat := range map[string]func(w *world){
		"silent": func(w *world) {
			port := w.net.Listen(w.front)
			w.atEnd(func() { _ = port.Close() })
			go func() {
				for {
					c, err := port.Accept()
					if err != nil {
						return
					}
					w.atEnd(func() { _ = c.Close() })
				}
			}()
		},
		"closes": func(w *world) {
			port := w.net.Listen(w.front)
			w.atEnd(func() { _ = port.Close() })
			go func() {
				for {
					c, err := port.Accept()
					if err != nil {
						return
					}
					_ = c.Close()
				}
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				treat(w)
				d := w.dialer()
				begin := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				_, err := w.client(d, w.front).UnaryCall(ctx, &testgrpc.SimpleRequest{})
				if got := time.Since(begin); got > 5*time.Second {
					t.Errorf("took %v, want 5 s at most", got)
				}
				for _, want := range []string{"native gRPC: ", "tunnel: ", w.front} {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("got %v, want %q in it", err, want)
					}
				}
				if got := d.Status(w.front); got.Way != fallback.Undecided || got.LastError == nil {
					t.Errorf("got %+v, want no way", got)
				}
			})
		})
	}
}

// TestCertificate never goes through the tunnel for a certificate that is not
// trusted, and says whose it is.
func TestCertificate(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		r := w.relay(pass)
		d := w.dialer()
		d.TLS = nil
		_, err := d.DialContext(context.Background(), w.front)
		if err == nil || !strings.Contains(err.Error(), "if this is your proxy's CA, add it to the roots") {
			t.Errorf("got %v, want what to do", err)
		}
		if got := r.others.Load(); got != 0 {
			t.Errorf("got %d dials of the tunnel, want 0", got)
		}
	})
}

// TestNever reports what is no reason for the tunnel as it is, at once.
func TestNever(t *testing.T) {
	for name, cause := range map[string]error{
		"DNS": &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "h.test", IsNotFound: true}},
		"407": &wsconn.StatusError{Op: "CONNECT", StatusCode: 407, Status: "407 Proxy Authentication Required"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				d := w.dialer()
				d.NetDial = func(context.Context, string, string) (net.Conn, error) { return nil, cause }
				d.Trace = &fallback.Trace{Upgraded: func(string, error) { t.Error("the tunnel was dialled") }}
				begin := time.Now()
				_, err := d.DialContext(context.Background(), w.front)
				if !errors.Is(err, cause) || time.Since(begin) != 0 {
					t.Errorf("got %v after %v, want %v at once", err, time.Since(begin), cause)
				}
			})
		})
	}
}

// TestTrace reports the steps of a dial that ends in the tunnel, and of the way
// back.
func TestTrace(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		r := w.relay(cut)
		d := w.dialer()
		d.MaxAttempts = 2 // so that the tunnel is chosen for good
		var mu sync.Mutex
		var steps []string
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			if step := fmt.Sprintf(format, args...); len(steps) == 0 || steps[len(steps)-1] != step {
				steps = append(steps, step)
			}
		}
		d.Trace = &fallback.Trace{
			NativeFailed: func(_ string, _ int, _ error) { note("native failed") },
			Upgraded:     func(_ string, err error) { note("upgraded %v", err) },
			Proven:       func(string) { note("proven") },
			Probed:       func(_ string, n int, err error) { note("probe %d %v", n, err) },
			FirstFrame:   func(_ string, err error) { note("first frame %v", err) },
			WayChanged:   func(_ string, before, now fallback.Way, _ string) { note("%v to %v", before, now) },
		}
		w.unary(w.client(d, w.front))
		r.treat(pass)
		<-time.After(11 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		got := strings.Join(steps, ", ")
		for _, want := range []string{
			"native failed", "upgraded <nil>", "proven", "undecided to tunnel",
			"first frame <nil>, probe 1 <nil>, probe 2 <nil>", "probe 3 <nil>, tunnel to native",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("got %s, want %q in it", got, want)
			}
		}
	})
}

// TestCancelled returns the caller's own error.
func TestCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.relay(swallow)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := w.dialer().DialContext(ctx, w.front); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// talk is a bidi stream that checks the order of its messages.
type talk struct {
	stream testgrpc.TestService_FullDuplexCallClient
	n      int32
}

func (w *world) talk(ctx context.Context, c testgrpc.TestServiceClient) *talk {
	st, err := c.FullDuplexCall(ctx)
	if err != nil {
		w.Fatal(err)
	}
	return &talk{stream: st}
}

// say sends messages of growing sizes and expects them back.
func (k *talk) say(w *world, times int) {
	w.Helper()
	for range times {
		k.n++
		body := &testgrpc.Payload{Body: make([]byte, k.n)}
		if err := k.stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: body}); err != nil {
			w.Fatalf("message %d: got %v", k.n, err)
		}
		r, err := k.stream.Recv()
		if err != nil || len(r.GetPayload().GetBody()) != int(k.n) {
			w.Fatalf("message %d: got %d bytes, %v", k.n, len(r.GetPayload().GetBody()), err)
		}
	}
}

// TestBackAndForth moves new RPCs when the network heals, and when it breaks,
// while streams go on where they are.
func TestBackAndForth(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r := w.relay(cut)
		d := w.dialer()
		c := w.client(d, w.front)
		inTunnel := w.talk(ctx, c)
		inTunnel.say(w, 10)

		r.treat(pass)
		<-time.After(11 * time.Minute)
		if got := d.Status(w.front); got.Way != fallback.Direct {
			t.Fatalf("healed: got %v (%s), want native", got.Way, got.Reason)
		}
		before := r.offers.Load()
		native := w.talk(ctx, c)
		native.say(w, 10)
		if got := r.offers.Load() - before; got != 0 {
			t.Logf("native dials after the change: %d", got)
		}
		inTunnel.say(w, 10)

		r.treat(cut)
		<-time.After(11 * time.Minute) // the verdict for native ends
		w.unary(w.client(d, w.front))  // which dials, and finds out
		if got := d.Status(w.front); got.Way != fallback.Tunnel {
			t.Fatalf("broken: got %v (%s), want the tunnel", got.Way, got.Reason)
		}
		r.cutAll(func(bool) bool { return false })
		w.unary(c)
		native.say(w, 10)
		inTunnel.say(w, 10)
	})
}

// TestChanges makes 1,000 RPCs a second while the way changes ten times. None
// fails.
func TestChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		r := w.relay(pass)
		d := w.dialer()
		d.Recheck, d.ProbeIdle = time.Second, 100*time.Millisecond
		changes := make(chan fallback.Way, 100)
		d.Trace = &fallback.Trace{WayChanged: func(_ string, _, now fallback.Way, _ string) { changes <- now }}
		c := w.client(d, w.front)
		w.unary(c)
		<-changes

		stop := make(chan struct{})
		var load sync.WaitGroup
		var made, failed atomic.Int64
		load.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				load.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					made.Add(1)
					if _, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
						failed.Add(1)
						t.Errorf("RPC %d: got %v", made.Load(), status.Convert(err))
					}
				})
			}
		})
		for n := range 10 {
			want := fallback.Tunnel
			if n%2 == 1 {
				want = fallback.Direct
			}
			if want == fallback.Tunnel {
				r.treat(cut)
				<-time.After(2 * time.Second) // native is not relied on any more
				w.unary(w.client(d, w.front)) // finds out
			} else {
				r.treat(pass)
			}
			if got := <-changes; got != want {
				t.Errorf("change %d: got %v, want %v", n, got, want)
			}
		}
		close(stop)
		load.Wait()
		t.Logf("%d RPCs, %d failed", made.Load(), failed.Load())
	})
}
