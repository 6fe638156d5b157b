package cuts_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
)

const (
	exchanged = 10 // messages before, and again after the tunnel was idle
	enough    = 3  // cuts that have to happen meanwhile
)

// idleRow is a timeout of a proxy.
type idleRow struct {
	name    string
	timeout string        // of the proxy
	idle    time.Duration // how long nothing is sent
	cuts    bool
}

// TestNginxReadTimeout leaves an RPC without messages for longer than nginx
// leaves a WebSocket without data.
func TestNginxReadTimeout(t *testing.T) {
	t.Parallel()
	for _, row := range []idleRow{{"cut", "2s", 10 * time.Second, true}, {"not cut", "60s", 10 * time.Second, false}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			testIdle(t, nginx, row, "timed out", "while proxying upgraded connection")
		})
	}
}

// TestHAProxyTunnelTimeout does the same with haproxy, which says with cD or sD
// that its timeout ended a request whose data flowed.
func TestHAProxyTunnelTimeout(t *testing.T) {
	t.Parallel()
	for _, row := range []idleRow{{"cut", "3s", 12 * time.Second, true}, {"not cut", "60s", 12 * time.Second, false}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			testIdle(t, haproxy, row, "D status 101")
		})
	}
}

// testIdle runs an RPC that streams both ways, with a pause. The words are in
// each line in which the program logs that its timeout cut a WebSocket.
func testIdle(t *testing.T, p frontend, row idleRow, words ...string) {
	b := serve(t)
	front := p.start(t, b.addr, row.timeout)
	conn := connect(t, front)
	l := newLoad(t, conn)
	stream, err := open(l.ctx, conn, "Echo")
	if err != nil {
		t.Fatalf("got %v, want a stream", err)
	}
	exchange(t, l, stream, 0)
	if n := front.count(t, p.log, words...); n != 0 {
		t.Fatalf("%s cut %d times before the pause, want 0", p.command, n)
	}
	if err := pause(l.ctx, row.idle); err != nil {
		t.Fatal(err)
	}
	cuts := front.count(t, p.log, words...)
	t.Logf("%d cuts in %v, %d connections to the server", cuts, row.idle, b.accepted.Load())
	if row.cuts && cuts < enough {
		t.Errorf("got %d cuts, want %d: the test proves nothing", cuts, enough)
	}
	if !row.cuts && cuts > 0 {
		t.Errorf("got %d cuts, want none", cuts)
	}
	exchange(t, l, stream, exchanged)
	_ = stream.CloseSend() // never fails
	if err := receive(stream, 2*exchanged, 0); !errors.Is(err, io.EOF) {
		t.Errorf("got %v at the end, want status OK", err)
	}
}

// exchange sends messages from first on and waits for their echoes, with a unary
// call beside each.
func exchange(t *testing.T, l *load, stream grpc.ClientStream, first uint64) {
	t.Helper()
	defer l.running.Wait()
	for n := first; n < first+exchanged; n++ {
		l.run(t, "unary call", func(ctx context.Context) error { return unary(ctx, l.conn, n) })
		if err := stream.SendMsg(message(n, echoSize(n))); err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("sending message %d: %v", n, err)
		}
	}
	for n := first; n < first+exchanged; n++ {
		if err := receive(stream, n, echoSize(n)); err != nil {
			t.Fatalf("got %v, want message %d", err, n)
		}
	}
}
