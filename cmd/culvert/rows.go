package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"culvert/internal/echo"
)

type client = testgrpc.TestServiceClient

// rows are what the tunnel has to carry.
var rows = []struct {
	name string
	run  func(context.Context, client) (string, error)
}{
	{"unary", unary},
	{"unary again, the tunnel being there", unary},
	{"server streaming", serverStream},
	{"client streaming", clientStream},
	{"bidirectional streaming", bidi},
	{"metadata and trailers", metadataRow},
	{"an error's code and text", errorRow},
	{"a deadline", deadlineRow},
}

func payload(n int) *testgrpc.Payload {
	return &testgrpc.Payload{Body: bytes.Repeat([]byte("culvert "), n/8)}
}

func unary(ctx context.Context, c client) (string, error) {
	r, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: payload(1024)})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes echoed", len(r.GetPayload().GetBody())), nil
}

// mustFail makes a call that holds if it fails.
func mustFail(ctx context.Context, c client) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	if err == nil {
		return "", errors.New("it passed")
	}
	st := status.Convert(err)
	text := st.Message()
	if _, after, ok := strings.Cut(text, "transport: "); ok {
		text = strings.TrimSuffix(after, `"`)
	}
	return fmt.Sprintf("%v: %s", st.Code(), text), nil
}

func serverStream(ctx context.Context, c client) (string, error) {
	const n, size = 100, 10_000
	req := &testgrpc.StreamingOutputCallRequest{}
	for range n {
		req.ResponseParameters = append(req.ResponseParameters, &testgrpc.ResponseParameters{Size: size})
	}
	st, err := c.StreamingOutputCall(ctx, req)
	if err != nil {
		return "", err
	}
	total, count := 0, 0
	for {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		total += len(r.GetPayload().GetBody())
		count++
	}
	if count != n || total != n*size {
		return "", fmt.Errorf("got %d messages, %d bytes, want %d, %d", count, total, n, n*size)
	}
	return fmt.Sprintf("%d messages, %d bytes", count, total), nil
}

func clientStream(ctx context.Context, c client) (string, error) {
	st, err := c.StreamingInputCall(ctx)
	if err != nil {
		return "", err
	}
	const n, size = 4, 1 << 20
	for range n {
		if err := st.Send(&testgrpc.StreamingInputCallRequest{Payload: payload(size)}); err != nil {
			return "", err
		}
	}
	r, err := st.CloseAndRecv()
	if err != nil {
		return "", err
	}
	if r.GetAggregatedPayloadSize() != n*size {
		return "", fmt.Errorf("got %d bytes, want %d", r.GetAggregatedPayloadSize(), n*size)
	}
	return fmt.Sprintf("%d messages of 1 MiB", n), nil
}

func bidi(ctx context.Context, c client) (string, error) {
	st, err := c.FullDuplexCall(ctx)
	if err != nil {
		return "", err
	}
	const n = 1000
	start := time.Now()
	for i := range n {
		want := fmt.Sprint("message ", i)
		if err := st.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte(want)}}); err != nil {
			return "", err
		}
		r, err := st.Recv()
		if err != nil {
			return "", err
		}
		if got := string(r.GetPayload().GetBody()); got != want {
			return "", fmt.Errorf("got %q, want %q", got, want)
		}
	}
	each := time.Since(start) / n
	if err := st.CloseSend(); err != nil {
		return "", err
	}
	if _, err := st.Recv(); !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("got %w, want the end", err)
	}
	return fmt.Sprintf("%d round trips, %v each", n, round(each)), nil
}

func metadataRow(ctx context.Context, c client) (string, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, echo.HeaderKey, "went along", echo.TrailerKey, "came last")
	var header, trailer metadata.MD
	if _, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		return "", err
	}
	h, t := header.Get(echo.HeaderKey), trailer.Get(echo.TrailerKey)
	if len(h) != 1 || h[0] != "went along" || len(t) != 1 || t[0] != "came last" {
		return "", fmt.Errorf("got header %q and trailer %q", h, t)
	}
	return fmt.Sprintf("header %q, trailer %q", h[0], t[0]), nil
}

func errorRow(ctx context.Context, c client) (string, error) {
	want := status.New(codes.FailedPrecondition, "not on a Sunday ☀")
	_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{
		ResponseStatus: &testgrpc.EchoStatus{Code: int32(want.Code()), Message: want.Message()},
	})
	if got := status.Convert(err); got.Code() != want.Code() || got.Message() != want.Message() {
		return "", fmt.Errorf("got %w, want %v", err, want)
	}
	return fmt.Sprintf("%v: %s", want.Code(), want.Message()), nil
}

func deadlineRow(ctx context.Context, c client) (string, error) {
	const deadline = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	start := time.Now()
	st, err := c.FullDuplexCall(ctx)
	if err != nil {
		return "", err
	}
	_, err = st.Recv()
	if status.Code(err) != codes.DeadlineExceeded {
		return "", fmt.Errorf("got %w, want DeadlineExceeded", err)
	}
	return fmt.Sprintf("of %v ended the call after %v", deadline, round(time.Since(start))), nil
}
