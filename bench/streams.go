package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// direction is the way that a stream's messages go.
type direction string

const (
	down direction = "down" // from the server to the client
	up   direction = "up"
)

// bulkSize is the size from which messages count by their bytes.
const bulkSize = 1 << 10

// stream returns the row of messages of size bytes on one stream.
func stream(label string, size int, dir direction) row {
	u, bound := messageRate, rateBound
	if size >= bulkSize {
		u, bound = byteRate, bulkBound
	}
	return row{
		name:    fmt.Sprintf("%s messages %s", label, dir),
		metrics: []metric{{unit: u, bound: bound}},
		prepare: prepareConn(func(c onConn) load { return &streamLoad{onConn: c, size: size, dir: dir} }),
	}
}

// streamLoad sends messages one way, as fast as they go.
type streamLoad struct {
	onConn
	size int
	dir  direction
}

// slice returns messages, or bytes, that arrive in a second.
func (l *streamLoad) slice(ctx context.Context, d time.Duration) ([]float64, error) {
	carry := l.down
	if l.dir == up {
		carry = l.up
	}
	var rate float64
	err := carry(ctx, func(ctx context.Context, arrived *atomic.Int64) (err error) {
		rate, err = window(ctx, arrived, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	if l.size >= bulkSize {
		rate *= float64(l.size)
	}
	return []float64{rate}, l.stack.settle(ctx, l.cc)
}

// A during is what goes on while a stream is at work and arrived counts its
// messages. When the stream fails, ctx may end.
type during func(ctx context.Context, arrived *atomic.Int64) error

// down has the client receive messages until f is done.
func (l *streamLoad) down(ctx context.Context, f during) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := l.cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, downMethod)
	if err != nil {
		return err
	}
	m := &message{size: l.size}
	if err := errors.Join(stream.SendMsg(m), stream.CloseSend()); err != nil {
		return errors.Join(err, stream.RecvMsg(m))
	}
	var received atomic.Int64
	ended := make(chan error, 1)
	go func() {
		defer cancel() // f need not wait
		m := new(message)
		for {
			err := stream.RecvMsg(m)
			if err == nil {
				err = m.expect(l.size)
			}
			if err != nil {
				ended <- err
				return
			}
			received.Add(1)
		}
	}()
	err = f(ctx, &received)
	cancel()
	if end := <-ended; status.Code(end) != codes.Canceled {
		err = errors.Join(end, err)
	}
	return err
}

// up has the server receive messages until f is done.
func (l *streamLoad) up(ctx context.Context, f during) error {
	stream, err := l.cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, upMethod)
	if err != nil {
		return err
	}
	var stop atomic.Bool
	ended := make(chan error, 1)
	go func() {
		m := &message{size: l.size}
		for !stop.Load() {
			if err := stream.SendMsg(m); err != nil {
				break // RecvMsg has the cause
			}
		}
		err := stream.CloseSend()
		if err == nil {
			if err = stream.RecvMsg(m); err == nil {
				err = m.expect(l.size)
			}
		}
		ended <- err
	}()
	err = f(ctx, &l.stack.service.received)
	stop.Store(true)
	return errors.Join(err, <-ended)
}
