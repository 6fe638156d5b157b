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
	u := messageRate
	if size >= bulkSize {
		u = byteRate
	}
	return row{
		name:    fmt.Sprintf("%s messages %s", label, dir),
		metrics: []metric{{"", u, rateBound}},
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
	measure := l.down
	if l.dir == up {
		measure = l.up
	}
	rate, err := measure(ctx, d)
	if err != nil {
		return nil, err
	}
	if l.size >= bulkSize {
		rate *= float64(l.size)
	}
	return []float64{rate}, l.stack.settle(ctx, l.cc)
}

// down returns how many messages a second the client receives.
func (l *streamLoad) down(ctx context.Context, d time.Duration) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := l.cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, downMethod)
	if err != nil {
		return 0, err
	}
	m := &message{size: l.size}
	if err := errors.Join(stream.SendMsg(m), stream.CloseSend()); err != nil {
		return 0, errors.Join(err, stream.RecvMsg(m))
	}
	var received atomic.Int64
	ended := make(chan error, 1)
	go func() {
		defer cancel() // window need not wait
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
	rate, err := window(ctx, &received, d)
	cancel()
	if end := <-ended; status.Code(end) != codes.Canceled {
		err = errors.Join(end, err)
	}
	return rate, err
}

// up returns how many messages a second the server receives.
func (l *streamLoad) up(ctx context.Context, d time.Duration) (float64, error) {
	stream, err := l.cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, upMethod)
	if err != nil {
		return 0, err
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
	rate, err := window(ctx, &l.stack.service.received, d)
	stop.Store(true)
	return rate, errors.Join(err, <-ended)
}
