package fallback_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/listener"
	"culvert/wsconn"
)

// counting is a Config that counts upgrades.
func counting(n *atomic.Int64) listener.Config {
	return listener.Config{Authorize: func(*http.Request) (any, error) {
		n.Add(1)
		return "somebody", nil
	}}
}

// TestShared has many ClientConns of one Dialer use one WebSocket.
func TestShared(t *testing.T) {
	var upgrades, headers atomic.Int64
	d := &fallback.Dialer{Mode: fallback.WebSocket, Header: func(context.Context) (http.Header, error) {
		headers.Add(1)
		return http.Header{"X-Token": {"t"}}, nil
	}}
	f := start(t, true, counting(&upgrades), d)
	for range 20 {
		fourKinds(t.Context(), t, f.client(t), 100)
	}
	if upgrades.Load() != 1 || headers.Load() != 1 {
		t.Errorf("got %d upgrades and %d calls of Header, want 1 and 1", upgrades.Load(), headers.Load())
	}
	info, _ := listener.FromContext(<-f.calls)
	if info.Principal != "somebody" || info.Header.Get("X-Token") != "t" {
		t.Errorf("got principal %v and header %q", info.Principal, info.Header.Get("X-Token"))
	}
}

// TestRedial makes a new tunnel when the one that there was is gone.
func TestRedial(t *testing.T) {
	var upgrades atomic.Int64
	f := start(t, true, counting(&upgrades), &fallback.Dialer{Mode: fallback.WebSocket})
	c := f.client(t)
	fourKinds(t.Context(), t, c, 100)
	s, err := f.dialer.Session(t.Context(), f.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_, err = c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.WaitForReady(true))
	if err != nil {
		_, err = c.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.WaitForReady(true))
	}
	if err != nil || upgrades.Load() != 2 {
		t.Errorf("got %v and %d upgrades, want nil and 2", err, upgrades.Load())
	}
}

// TestGracefulStop lets a running RPC finish, and ends the tunnel after it.
func TestGracefulStop(t *testing.T) {
	l, err := listener.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(l.ServerOptions()...)
	(&echo.Server{}).Register(srv)
	go func() { _ = srv.Serve(l) }()
	f := &fixture{listener: l, dialer: &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true}, addr: l.Addr().String()}
	defer f.dialer.Close()
	st, err := f.client(t).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pingPong := func() {
		t.Helper()
		if err := st.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	pingPong()
	stopped := make(chan struct{})
	go func() {
		srv.GracefulStop()
		close(stopped)
	}()
	for range 100 {
		pingPong()
	}
	_ = st.CloseSend()
	if _, err := st.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	<-stopped
	if err := l.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
}

// TestSilentProxy names a proxy that relays a 101 and nothing more.
func TestSilentProxy(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := (&wsconn.Upgrader{Subprotocols: []string{"culvert.v1"}}).Upgrade(w, r)
		if err == nil {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}))
	defer web.Close()
	d := &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true, FirstByteTimeout: 50 * time.Millisecond}
	defer d.Close()
	s, err := d.Session(t.Context(), strings.TrimPrefix(web.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "does not relay WebSockets") {
		t.Errorf("got %v, want an error that names the fault", err)
	}
}

// TestRefused reports status and hop, through the dialer and through an RPC.
func TestRefused(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "gate/7")
		http.Error(w, "closed for the night", http.StatusServiceUnavailable)
	}))
	defer web.Close()
	addr := strings.TrimPrefix(web.URL, "http://")
	d := &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true}
	_, err := d.DialContext(t.Context(), addr)
	var refused *wsconn.StatusError
	if !errors.As(err, &refused) || refused.StatusCode != 503 {
		t.Errorf("got %v, want a StatusError with 503", err)
	}
	f := &fixture{dialer: d, addr: addr}
	_, err = f.client(t).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
	for _, want := range []string{"503", "gate/7", "closed for the night"} {
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want Unavailable with %q", err, want)
		}
	}
	if got := d.Status(addr); got.Failures == 0 || got.LastError == nil {
		t.Errorf("Status: got %+v, want failures", got)
	}
	_ = d.Close()
	if _, err := d.DialContext(t.Context(), addr); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: got %v, want net.ErrClosed", err)
	}
}

// TestRetryAfter waits as long as the answer to the last upgrade asked for.
func TestRetryAfter(t *testing.T) {
	asked := make(chan time.Time, 2)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- time.Now()
		w.Header().Set("Retry-After", "1")
		http.Error(w, "full", http.StatusServiceUnavailable)
	}))
	defer web.Close()
	d := &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true}
	defer d.Close()
	for range 2 {
		if _, err := d.DialContext(t.Context(), strings.TrimPrefix(web.URL, "http://")); err == nil {
			t.Fatal("there is a tunnel, want 503")
		}
	}
	if pause := (<-asked).Sub(<-asked).Abs(); pause < time.Second {
		t.Errorf("asked again after %v, want 1 s or more", pause)
	}
}

// TestIdle closes a tunnel that nobody uses.
func TestIdle(t *testing.T) {
	f := start(t, false, listener.Config{}, &fallback.Dialer{Mode: fallback.WebSocket, IdleTimeout: 10 * time.Millisecond})
	c, err := f.dialer.DialContext(t.Context(), f.addr)
	if err != nil {
		t.Fatal(err)
	}
	// The peer sees the whole session end, not only the stream.
	_ = c.Close()
	for f.dialer.Status(f.addr).Way == fallback.Tunnel {
		if t.Context().Err() != nil {
			t.Fatal("the tunnel is still there")
		}
		runtime.Gosched()
	}
}

// TestMode heeds the environment.
func TestMode(t *testing.T) {
	f := start(t, true, listener.Config{}, &fallback.Dialer{Mode: fallback.Native})
	t.Setenv("CULVERT_MODE", "websocket")
	fourKinds(t.Context(), t, f.client(t), 10)
	if info, _ := listener.FromContext(<-f.calls); !info.Tunnel {
		t.Error("got the native way, want the tunnel")
	}
	t.Setenv("CULVERT_MODE", "carrier pigeon")
	if _, err := f.dialer.DialContext(t.Context(), f.addr); err == nil || !strings.Contains(err.Error(), "CULVERT_MODE") {
		t.Errorf("got %v, want an error that names the variable", err)
	}
}
