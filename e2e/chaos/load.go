package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"culvert/e2e/chaos/relay"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

const (
	unaryCallers = 50
	echoWindow   = 64                    // echoes under way at once
	errorPause   = 10 * time.Millisecond // after an RPC that failed
)

// caller is one of the things that the load does all the time.
type caller struct {
	name  string
	done  atomic.Int64 // messages or calls
	ended atomic.Bool
}

// load is the client's end of the load.
type load struct {
	client  testgrpc.TestServiceClient
	book    *book
	gaps    *gaps
	stop    <-chan struct{}
	callers []*caller
	wg      sync.WaitGroup
}

// start starts all callers. They end after stop is closed, or with ctx.
func (l *load) start(ctx context.Context, conn *grpc.ClientConn) {
	l.client = testgrpc.NewTestServiceClient(conn)
	l.again(ctx, "echo", l.echo)
	l.again(ctx, "down", l.down)
	l.again(ctx, "up", l.up)
	for i := range unaryCallers {
		c := l.caller(fmt.Sprintf("unary %d", i))
		f := l.book.open(c.name)
		l.wg.Go(func() {
			defer c.ended.Store(true)
			l.unary(ctx, c, f)
		})
	}
}

func (l *load) caller(name string) *caller {
	c := &caller{name: name}
	l.callers = append(l.callers, c)
	return c
}

func (l *load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// failed counts an error, and waits a little.
func (l *load) failed(ctx context.Context, name string, err error) {
	if ctx.Err() != nil {
		return // cancelled after a timeout, which is told of elsewhere
	}
	l.book.fault(rpcError, name, err.Error())
	relay.Wait(errorPause, l.stop)
}

// again runs a stream until it ends well, which it does after stop alone.
func (l *load) again(ctx context.Context, name string, stream func(context.Context, *caller, *flow) error) {
	c := l.caller(name)
	l.wg.Go(func() {
		defer c.ended.Store(true)
		for ctx.Err() == nil {
			one, cancel := context.WithCancel(ctx)
			err := stream(one, c, l.book.open(name))
			cancel()
			if err == nil && l.stopped() {
				return
			}
			if err == nil {
				err = errors.New("the stream ended before its time")
			}
			l.failed(ctx, name, err)
			if l.stopped() {
				return
			}
		}
	})
}
