package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// FourKinds makes an RPC of each kind with messages that contain body, and sees
// that what comes back is right.
func FourKinds(ctx context.Context, c testgrpc.TestServiceClient, body []byte) error {
	calls := calls{c, body}
	for kind, call := range map[string]func(context.Context) error{
		"unary": calls.unary, "server stream": calls.down, "client stream": calls.up, "bidi": calls.bidi,
	} {
		if err := call(ctx); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// calls are the RPCs with one body.
type calls struct {
	c    testgrpc.TestServiceClient
	body []byte
}

func (c calls) payload() *testgrpc.Payload { return &testgrpc.Payload{Body: c.body} }

// echoed reports an answer that is not the body.
func (c calls) echoed(got *testgrpc.Payload, err error) error {
	if err == nil && !bytes.Equal(got.GetBody(), c.body) {
		err = fmt.Errorf("got other %d bytes than the %d that were sent", len(got.GetBody()), len(c.body))
	}
	return err
}

func (c calls) unary(ctx context.Context) error {
	r, err := c.c.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: c.payload()})
	return c.echoed(r.GetPayload(), err)
}

func (c calls) down(ctx context.Context) error {
	size := len(c.body)
	st, err := c.c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{
		Payload:            c.payload(),
		ResponseParameters: []*testgrpc.ResponseParameters{{Size: int32(size)}, {Size: int32(size)}},
	})
	for range 2 {
		if err != nil {
			return err
		}
		var r *testgrpc.StreamingOutputCallResponse
		r, err = st.Recv()
		if got := len(r.GetPayload().GetBody()); err == nil && got != size {
			err = fmt.Errorf("got %d bytes, want %d", got, size)
		}
	}
	if err != nil {
		return err
	}
	if _, err := st.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("got %w, want EOF", err)
	}
	return nil
}

func (c calls) up(ctx context.Context) error {
	st, err := c.c.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := st.Send(&testgrpc.StreamingInputCallRequest{Payload: c.payload()}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	r, err := st.CloseAndRecv()
	if want := 3 * len(c.body); err == nil && int(r.GetAggregatedPayloadSize()) != want {
		err = fmt.Errorf("got %d bytes, want %d", r.GetAggregatedPayloadSize(), want)
	}
	return err
}

func (c calls) bidi(ctx context.Context) error {
	st, err := c.c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for range 3 { // each waits for the one before: the request stays open
		if err := st.Send(&testgrpc.StreamingOutputCallRequest{Payload: c.payload()}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		r, err := st.Recv()
		if err := c.echoed(r.GetPayload(), err); err != nil {
			return err
		}
	}
	return st.CloseSend()
}
