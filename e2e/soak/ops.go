package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

var errOther = errors.New("what came back is not what was sent")

// content is what messages are cut out of.
var content = func() []byte {
	b := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

// message returns up to limit bytes, others from call to call.
func message(limit int) []byte {
	at := rand.IntN(len(content) - limit)
	return content[at : at+rand.IntN(limit+1)]
}

// unary makes a call, of a large message at times.
func (w *way) unary(ctx context.Context) error { return call(ctx, w.client) }

func call(ctx context.Context, c testgrpc.TestServiceClient) error {
	limit := 4 << 10
	if rand.IntN(16) == 0 {
		limit = 512 << 10
	}
	m := message(limit)
	r, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: m}})
	if err == nil && !bytes.Equal(r.GetPayload().GetBody(), m) {
		err = errOther
	}
	return err
}

// chat sends a few messages on a stream and wants them back. The stream is the
// same from op to op, for as long as life, unless it fails.
func (w *way) chat(life context.Context) func(context.Context) error {
	var st testgrpc.TestService_FullDuplexCallClient
	return func(context.Context) (err error) {
		if st == nil {
			if st, err = w.client.FullDuplexCall(life); err != nil {
				st = nil
				return err
			}
		}
		if err = exchange(st); err != nil {
			st = nil
		}
		return err
	}
}

// exchange sends less than what a stream takes without being read.
func exchange(st testgrpc.TestService_FullDuplexCallClient) error {
	sent := make([][]byte, 1+rand.IntN(8))
	for i := range sent {
		sent[i] = message(4 << 10)
		if st.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: sent[i]}}) != nil {
			break // Recv tells why
		}
	}
	for _, m := range sent {
		r, err := st.Recv()
		if err != nil {
			return err
		}
		if !bytes.Equal(r.GetPayload().GetBody(), m) {
			return errOther
		}
	}
	return nil
}

// request asks for n messages of size bytes, one each interval.
func request(n, size int, interval time.Duration) *testgrpc.StreamingOutputCallRequest {
	p := &testgrpc.ResponseParameters{Size: int32(size), IntervalUs: int32(interval.Microseconds())}
	r := &testgrpc.StreamingOutputCallRequest{}
	for range n {
		r.ResponseParameters = append(r.ResponseParameters, p)
	}
	return r
}

// down receives a stream to its end.
func (w *way) down(ctx context.Context) error {
	n, size := rand.IntN(64), rand.IntN(64<<10)
	st, err := w.client.StreamingOutputCall(ctx, request(n, size, 0))
	if err != nil {
		return err
	}
	for got := 0; ; got++ {
		r, err := st.Recv()
		switch {
		case errors.Is(err, io.EOF) && got == n:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%d messages came instead of %d", got, n)
		case err != nil:
			return err
		case len(r.GetPayload().GetBody()) != size:
			return errOther
		}
	}
}

// up sends a stream, of which the server counts the bytes.
func (w *way) up(ctx context.Context) error {
	st, err := w.client.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	total := 0
	for range rand.IntN(64) {
		m := message(64 << 10)
		if st.Send(&testgrpc.StreamingInputCallRequest{Payload: &testgrpc.Payload{Body: m}}) != nil {
			break // CloseAndRecv tells why
		}
		total += len(m)
	}
	r, err := st.CloseAndRecv()
	if err == nil && int(r.GetAggregatedPayloadSize()) != total {
		err = fmt.Errorf("%d bytes came instead of %d", r.GetAggregatedPayloadSize(), total)
	}
	return err
}

// visit makes a few calls over a ClientConn that comes and goes.
func visit(connect func() (conn *grpc.ClientConn, end func(), err error)) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, end, err := connect()
		if err != nil {
			return err
		}
		defer end()
		c := testgrpc.NewTestServiceClient(conn)
		for range 1 + rand.IntN(8) {
			if err := call(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}
