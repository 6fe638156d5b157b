package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// echo sends messages of random length and verifies that all come back.
func (l *load) echo(ctx context.Context, c *caller, f *flow) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := l.client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	window := make(chan struct{}, echoWindow)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			select {
			case <-l.stop:
				_ = st.CloseSend()
				return
			case <-ctx.Done():
				return
			case window <- struct{}{}:
			}
			m := f.short(4096)
			if st.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: m}}) != nil {
				return // Recv tells why
			}
		}
	})
	for {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			cancel()
			return nil
		}
		if err != nil {
			cancel()
			return err
		}
		f.received(r.GetPayload().GetBody())
		l.book.echoed.Add(1)
		c.done.Add(1)
		select {
		case <-window:
		default: // one came twice, which received has counted
		}
	}
}

// down receives what the server sends.
func (l *load) down(ctx context.Context, c *caller, f *flow) error {
	st, err := l.client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{Payload: flowName(f)})
	if err != nil {
		return err
	}
	for {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m := r.GetPayload().GetBody()
		f.received(m)
		l.book.downCount.Add(1)
		l.book.downBytes.Add(int64(len(m)))
		c.done.Add(1)
	}
}

// up sends, and at the end compares the number of messages with the server's.
func (l *load) up(ctx context.Context, c *caller, f *flow) error {
	st, err := l.client.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for !l.stopped() {
		m := f.message(bulk - headSize)
		if st.Send(&testgrpc.StreamingInputCallRequest{Payload: &testgrpc.Payload{Body: m}}) != nil {
			break // CloseAndRecv tells why
		}
		c.done.Add(1)
	}
	r, err := st.CloseAndRecv()
	if err != nil {
		return err
	}
	if got, sent := uint64(r.GetAggregatedPayloadSize()), f.sent.Load(); got != sent {
		l.book.fault(corrupt, c.name, fmt.Sprintf("the server counts %d messages, the client %d", got, sent))
	}
	return nil
}

// unary calls again and again, and verifies each reply.
func (l *load) unary(ctx context.Context, c *caller, f *flow) {
	for !l.stopped() && ctx.Err() == nil {
		m := f.short(1024)
		began := time.Now()
		r, err := l.client.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: m}})
		if err != nil {
			l.failed(ctx, c.name, err)
			continue
		}
		if !bytes.Equal(r.GetPayload().GetBody(), m) {
			l.book.fault(corrupt, c.name, "another reply")
		}
		l.gaps.completed(began)
		l.book.unary.Add(1)
		c.done.Add(1)
	}
}
