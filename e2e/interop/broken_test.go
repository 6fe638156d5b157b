package interop_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"culvert/e2e/interop"
)

// faults has, for each case, what it must say about a server that does the
// opposite of what the case asks for, or about a channel that drops deadlines
// and cancellation.
var faults = map[string]string{
	"empty_unary":                 "RPC failed:  rpc error: code = Internal desc = broken",
	"large_unary":                 "Got the reply with type 0 len 1; want 0, 314159",
	"large_unary_gzip":            "Got the reply with type 0 len 1; want 0, 314159",
	"client_streaming":            "want 74922",
	"client_streaming_gzip":       "want 74922",
	"server_streaming":            "Failed to finish the server streaming rpc",
	"server_streaming_gzip":       "Failed to finish the server streaming rpc",
	"ping_pong":                   "Got reply body of length 1, want 31415",
	"ping_pong_gzip":              "Got reply body of length 1, want 31415",
	"empty_stream":                "failed to complete the empty stream test",
	"timeout_on_sleeping_server":  "want error code 4",
	"cancel_after_begin":          "got error code 0, want 1",
	"cancel_after_first_response": "want 1",
	"status_code_and_message":     "want _, rpc error: code = Unknown desc = test status message",
	"special_status_message":      "and non-BMP",
	"custom_metadata":             "Expected exactly one header from server. Received 0",
	"unimplemented_method":        "want error code Unimplemented",
	"unimplemented_service":       "want _, Unimplemented",
	"pick_first_unary":            "got different server ids",
	"rpc_soak":                    "Soak test total failures: 20",
	"channel_soak":                "Soak test total failures: 20",
	"orca_per_rpc":                "received ORCA load report",
	"orca_oob":                    "received error receiving",
}

// TestBrokenServer shows that each case fails, with its message and without
// ending the process, where its subject is broken.
func TestBrokenServer(t *testing.T) {
	target := serveBroken(t)
	for _, c := range interop.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			want, ok := faults[c.Name]
			if !ok {
				t.Fatalf("got no fault for the case %s, want one in the table", c.Name)
			}
			err := c.Run(t.Context(), target)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error that contains %q", err, want)
			}
		})
	}
}

// serveBroken serves brokenServer in memory until the test ends, and returns
// the way to it: a channel that drops deadlines and cancellation.
func serveBroken(t *testing.T) interop.Target {
	t.Helper()
	lis := bufconn.Listen(64 << 10)
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg(&testgrpc.Empty{})
	}))
	testgrpc.RegisterTestServiceServer(srv, &brokenServer{})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("got %v from Serve, want nil", err)
		}
	})
	return interop.Target{Addr: "passthrough:broken", Options: []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
			streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return streamer(context.WithoutCancel(ctx), desc, cc, method, opts...)
		}),
	}}
}

// brokenServer answers every call, and each one wrongly.
type brokenServer struct {
	testgrpc.UnimplementedTestServiceServer
	calls atomic.Int32
}

var errBroken = status.Error(codes.Internal, "broken")

// onlyByte is the payload of each answer.
var onlyByte = &testgrpc.Payload{Body: []byte{0}}

func (*brokenServer) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return nil, errBroken
}

// UnaryCall ignores the status, the metadata and the size that it is asked for,
// and is another server at each call.
func (s *brokenServer) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	id := string('a' + s.calls.Add(1)%26)
	return &testgrpc.SimpleResponse{Payload: onlyByte, ServerId: id}, nil
}

// UnimplementedCall is implemented.
func (*brokenServer) UnimplementedCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

// StreamingInputCall miscounts.
func (*brokenServer) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	for {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	return stream.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: 1})
}

// StreamingOutputCall ends before its first message.
func (*brokenServer) StreamingOutputCall(*testgrpc.StreamingOutputCallRequest, testgrpc.TestService_StreamingOutputCallServer) error {
	return errBroken
}

// FullDuplexCall fails after its first message, and at once where load is to be
// reported.
func (*brokenServer) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	in, err := stream.Recv()
	if err != nil || in.GetOrcaOobReport() != nil {
		return errBroken
	}
	if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: onlyByte}); err != nil {
		return err
	}
	return errBroken
}
