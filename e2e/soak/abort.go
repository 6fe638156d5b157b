package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// cancelled cancels a call at a random moment.
func (w *way) cancelled(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(moment(), cancel).Stop()
	return w.abort(ctx, codes.Canceled)
}

// late has a call run into a random deadline.
func (w *way) late(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, moment())
	defer cancel()
	return w.abort(ctx, codes.DeadlineExceeded)
}

func moment() time.Duration { return rand.N(30 * time.Millisecond) }

// abort makes a call, either way, that goes on until ctx ends, and wants it to
// end with code.
func (w *way) abort(ctx context.Context, code codes.Code) error {
	endless := w.endlessDown
	if rand.IntN(2) == 0 {
		endless = w.endlessUp
	}
	err := endless(ctx)
	if status.Code(err) == code {
		return nil
	}
	return fmt.Errorf("the call ended with %w, not with %v", err, code)
}

func (w *way) endlessDown(ctx context.Context) error {
	st, err := w.client.StreamingOutputCall(ctx, request(1000, 4<<10, time.Millisecond))
	for err == nil {
		_, err = st.Recv()
	}
	return err
}

// endlessUp has the server's answers wait to be read, too.
func (w *way) endlessUp(ctx context.Context) error {
	st, err := w.client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for st.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: message(4 << 10)}}) == nil {
	}
	for err == nil {
		_, err = st.Recv()
	}
	return err
}
