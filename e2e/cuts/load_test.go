package cuts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
)

const (
	echoInterval = time.Millisecond      // between two messages
	callInterval = 20 * time.Millisecond // between two unary calls
	callers      = 3                     // that call at the same time
	callTimeout  = 20 * time.Second
)

// load is RPCs that run until they are told to end.
type load struct {
	ctx                context.Context //nolint:containedctx // ends with the test
	conn               *grpc.ClientConn
	stop               chan struct{} // closed for the end
	running            sync.WaitGroup
	failed             atomic.Bool // whether an RPC has failed
	echoes, calls      atomic.Int64
	uploads, downloads atomic.Int64
	longest            atomic.Int64 // of the unary calls, in ns
}

// newLoad returns a load that does nothing yet. It ends with the test.
func newLoad(t *testing.T, conn *grpc.ClientConn) *load {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	l := &load{ctx: ctx, conn: conn, stop: make(chan struct{})}
	t.Cleanup(func() {
		cancel()
		l.running.Wait()
	})
	return l
}

// run runs an RPC beside the test, which fails with it.
func (l *load) run(t *testing.T, name string, rpc func(context.Context) error) {
	l.running.Go(func() {
		ctx, cancel := context.WithCancel(l.ctx)
		defer cancel()
		if err := rpc(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
			l.failed.Store(true)
		}
	})
}

// progress waits until the load has gone on for a while.
func (l *load) progress(t *testing.T) {
	t.Helper()
	echoes, calls := l.echoes.Load()+200, l.calls.Load()+10
	uploads, downloads := l.uploads.Load()+50, l.downloads.Load()+50
	l.eventually(t, "RPCs to go on", func() bool {
		return l.echoes.Load() >= echoes && l.calls.Load() >= calls &&
			l.uploads.Load() >= uploads && l.downloads.Load() >= downloads
	})
}

// eventually is what it is without a load, and ends the test once an RPC has
// failed.
func (l *load) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		if l.failed.Load() {
			t.FailNow()
		}
		return ok()
	})
}

// finish lets the RPCs end and waits until they have.
func (l *load) finish(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.running.Wait()
	t.Logf("%d echoes, %d messages of %d KiB up and %d down, %d unary calls, the longest %v", l.echoes.Load(),
		l.uploads.Load(), bulkSize>>10, l.downloads.Load(), l.calls.Load(), time.Duration(l.longest.Load()))
}

// echo sends numbered messages, and wants each of them back once and in order.
func (l *load) echo(ctx context.Context) error {
	stream, err := open(ctx, l.conn, "Echo")
	if err != nil {
		return err
	}
	sent := make(chan uint64, 1)
	l.running.Go(func() {
		n := uint64(0)
		defer func() { sent <- n }()
		for ; !l.stopped(ctx, echoInterval); n++ {
			if stream.SendMsg(message(n, echoSize(n))) != nil {
				return // RecvMsg says why
			}
		}
		_ = stream.CloseSend() // never fails
	})
	for n := uint64(0); ; n++ {
		err := receive(stream, n, echoSize(n))
		if errors.Is(err, io.EOF) {
			if total := <-sent; n != total {
				return fmt.Errorf("got %d messages and status OK, want %d", n, total)
			}
			return nil
		}
		if err != nil {
			return err
		}
		l.echoes.Add(1)
	}
}

// upload sends numbered messages, as fast as they go, and wants to hear in the
// end that the server got as many.
func (l *load) upload(ctx context.Context) error {
	stream, err := open(ctx, l.conn, "Upload")
	if err != nil {
		return err
	}
	n := uint64(0)
	for ; !l.stopped(ctx, 0); n++ {
		if stream.SendMsg(message(n, bulkSize)) != nil {
			break // RecvMsg says why
		}
		l.uploads.Add(1)
	}
	_ = stream.CloseSend() // never fails
	if err := receive(stream, 0, 0); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after %d messages sent: %w", n, err)
	}
	return counted(stream, n)
}

// download receives numbered messages until it is told to end, and then as
// many more as the server says that it sent.
func (l *load) download(ctx context.Context) error {
	stream, err := open(ctx, l.conn, "Download")
	if err != nil {
		return err
	}
	l.running.Go(func() {
		select {
		case <-l.stop:
			_ = stream.CloseSend() // never fails
		case <-ctx.Done():
		}
	})
	for n := uint64(0); ; n++ {
		err := receive(stream, n, bulkSize)
		if errors.Is(err, io.EOF) {
			return counted(stream, n)
		}
		if err != nil {
			return err
		}
		l.downloads.Add(1)
	}
}

// call makes one unary call after the other.
func (l *load) call(ctx context.Context) error {
	for n := uint64(0); !l.stopped(ctx, callInterval); n++ {
		begin := time.Now()
		if err := unary(ctx, l.conn, n); err != nil {
			return fmt.Errorf("call %d, after %v: %w", n, time.Since(begin), err)
		}
		l.calls.Add(1)
		for took := int64(time.Since(begin)); ; {
			if old := l.longest.Load(); took <= old || l.longest.CompareAndSwap(old, took) {
				break
			}
		}
	}
	return nil
}

// stopped waits for d and reports whether the load shall end.
func (l *load) stopped(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.stop:
		return true
	case <-ctx.Done():
		return true
	case <-timer.C:
		return false
	}
}
