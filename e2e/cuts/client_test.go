package cuts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"culvert/fallback"
)

// connect returns a client that goes through the proxy in a tunnel.
func connect(t *testing.T, front *proxy) *grpc.ClientConn {
	t.Helper()
	d := &fallback.Dialer{Mode: fallback.WebSocket, TLS: front.pair.Client}
	conn, err := grpc.NewClient(front.Addr, d.DialOptions()...)
	if err != nil {
		t.Fatalf("got %v, want a ClientConn", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), d.Close()); err != nil {
			t.Errorf("got %v from closing, want nil", err)
		}
	})
	return conn
}

// echoSize is the size of message n of Echo.
func echoSize(n uint64) int { return 8 + int(n*2654435761%(4<<10)) }

// open begins an RPC that streams both ways.
func open(ctx context.Context, conn *grpc.ClientConn, method string) (grpc.ClientStream, error) {
	return conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, servicePath+method)
}

// receive receives one message, which has to be message n with size bytes.
func receive(stream grpc.ClientStream, n uint64, size int) error {
	var msg wrapperspb.BytesValue
	if err := stream.RecvMsg(&msg); errors.Is(err, io.EOF) {
		return io.EOF // status OK
	} else if err != nil {
		return fmt.Errorf("instead of message %d: %w", n, err)
	}
	return check(&msg, n, size)
}

// check fails unless msg is message n with size bytes.
func check(msg *wrapperspb.BytesValue, n uint64, size int) error {
	got, err := number(msg.GetValue())
	if err == nil && (got != n || len(msg.GetValue()) != size) {
		err = fmt.Errorf("got message %d of %d bytes, want %d of %d", got, len(msg.GetValue()), n, size)
	}
	return err
}

// counted fails unless the server says that n messages passed.
func counted(stream grpc.ClientStream, n uint64) error {
	if got := stream.Trailer().Get(countKey); len(got) != 1 || got[0] != strconv.FormatUint(n, 10) {
		return fmt.Errorf("got status OK and %d messages at the client, %v at the server", n, got)
	}
	return nil
}

// unary makes a unary call with message n.
func unary(ctx context.Context, conn *grpc.ClientConn, n uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var answer wrapperspb.BytesValue
	if err := conn.Invoke(ctx, servicePath+"Echo", message(n, echoSize(n)), &answer); err != nil {
		return err
	}
	return check(&answer, n, echoSize(n))
}
