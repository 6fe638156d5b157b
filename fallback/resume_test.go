package fallback_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/fallback"
	"culvert/listener"
	"culvert/resume"
)

// wires are the TCP connections of a Dialer.
type wires struct {
	mu   sync.Mutex
	open []net.Conn
	bar  error // what dials get, if not nil
	from func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (w *wires) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bar != nil {
		return nil, w.bar
	}
	from := w.from
	if from == nil {
		from = new(net.Dialer).DialContext
	}
	c, err := from(ctx, network, addr)
	if err == nil {
		w.open = append(w.open, c)
	}
	return c, err
}

// cut cuts all connections, and dials get bar from then on.
func (w *wires) cut(bar error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open, w.bar = nil, bar
}

// counted returns hooks that count.
func counted(cuts, resumed, lost *atomic.Int64) *resume.Config {
	return &resume.Config{Observe: &resume.Observer{
		Cut:     func(error) { cuts.Add(1) },
		Resumed: func(time.Duration, int64) { resumed.Add(1) },
		Lost:    func(error) { lost.Add(1) },
	}}
}

// echoOn sends one message on a bidi stream and waits for its echo.
func echoOn(t *testing.T, bidi grpc.BidiStreamingClient[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse], n int) error {
	t.Helper()
	body := bytes.Repeat([]byte{byte(n)}, 10_000)
	if err := bidi.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: body}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	r, err := bidi.Recv()
	if err == nil && !bytes.Equal(r.GetPayload().GetBody(), body) {
		t.Errorf("got another echo of message %d", n)
	}
	return err
}

// TestResume cuts a tunnel under a stream, which does not notice, and checks
// that what handlers see of the tunnel stays as it was.
func TestResume(t *testing.T) {
	var cuts, resumed, lost, upgrades atomic.Int64
	w := &wires{}
	d := &fallback.Dialer{
		Mode: fallback.WebSocket, NetDial: w.dial, Resume: counted(&cuts, &resumed, &lost),
		Header: func(context.Context) (http.Header, error) { return http.Header{"Token": {"t"}}, nil },
	}
	f := start(t, true, counting(&upgrades), d)
	c := f.client(t)
	bidi, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if err := echoOn(t, bidi, n); err != nil {
			t.Fatal(err)
		}
		w.cut(nil)
	}
	fourKinds(t.Context(), t, c, 1000)
	if n := resumed.Load(); n < 9 || cuts.Load() < n || lost.Load() != 0 || upgrades.Load() < 10 {
		t.Errorf("got %d cuts, %d resumed, %d lost, %d upgrades, want 10 cuts resumed",
			cuts.Load(), n, lost.Load(), upgrades.Load())
	}
	for range 2 {
		info, _ := listener.FromContext(<-f.calls)
		if info.Principal != "somebody" || !info.Tunnel {
			t.Errorf("got %+v, want the principal of the tunnel", info)
		}
	}
	f.listener.Renew()
	if err := echoOn(t, bidi, 11); err != nil {
		t.Errorf("got %v after Renew, want nil", err)
	}
}

// TestNotResumed ends streams with UNAVAILABLE when the tunnel is cut and either
// side does not want to resume, or the server does not know the session any
// more, and serves new RPCs on another tunnel.
func TestNotResumed(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server bool // resume
		forget         bool
	}{
		{"client off", false, true, false},
		{"server off", true, false, false},
		{"forgotten", true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cuts, resumed, lost atomic.Int64
			w := &wires{}
			d := &fallback.Dialer{
				Mode: fallback.WebSocket, NetDial: w.dial, Resume: counted(&cuts, &resumed, &lost), DisableResume: !tt.client,
			}
			cfg := listener.Config{DisableResume: !tt.server}
			if tt.forget {
				cfg.Resume = &resume.Config{Window: time.Millisecond}
			}
			f := start(t, true, cfg, d)
			c := f.client(t)
			bidi, err := c.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := echoOn(t, bidi, 1); err != nil {
				t.Fatal(err)
			}
			if tt.forget {
				w.cut(errors.New("not yet"))
				<-time.After(50 * time.Millisecond) // longer than the server's window
			}
			w.cut(nil)
			if err := echoOn(t, bidi, 2); status.Code(err) != codes.Unavailable {
				t.Errorf("got %v, want Unavailable", err)
			}
			if _, err := c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.WaitForReady(true)); err != nil {
				t.Errorf("got %v from the next RPC, want nil", err)
			}
			if resumed.Load() != 0 || tt.forget != (lost.Load() == 1) {
				t.Errorf("got %d resumed, %d lost", resumed.Load(), lost.Load())
			}
		})
	}
}
