package interop

import (
	"context"

	orcagrpc "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"
)

// serverID is what pick_first_unary expects to hear from one server only.
const serverID = "culvert-e2e"

// NewServer returns a gRPC server with all that the cases call: grpc-go's
// interop service and the ORCA services. The caller serves and stops it.
func NewServer(opts ...grpc.ServerOption) *grpc.Server {
	srv := grpc.NewServer(append(opts[:len(opts):len(opts)], orca.CallMetricsServerOption(nil))...)
	metrics := orca.NewServerMetricsRecorder()
	testgrpc.RegisterTestServiceServer(srv, &testServer{
		TestServiceServer: interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: metrics}),
	})
	orcagrpc.RegisterOpenRcaServiceServer(srv, &loadReporter{metrics: metrics})
	return srv
}

// testServer is grpc-go's server with an ID, which its own leaves out.
type testServer struct {
	testgrpc.TestServiceServer
}

// UnaryCall adds the server's ID where the request asks for it.
func (s *testServer) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	out, err := s.TestServiceServer.UnaryCall(ctx, in)
	if err == nil && in.GetFillServerId() {
		out.ServerId = serverID
	}
	return out, err
}

// StreamingInputCall answers a call that carried nothing once that is cancelled.
// cancel_after_begin half-closes such a call after it has cancelled it, and must
// not see an answer. But if there is one before grpc's client looks, that picks
// at random: on a busy machine with the race detector, 2 to 6 of 1,000 calls of
// grpc alone.
func (s *testServer) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	return s.TestServiceServer.StreamingInputCall(&patientStream{TestService_StreamingInputCallServer: stream})
}

// patientStream is the server's end of a StreamingInputCall.
type patientStream struct {
	testgrpc.TestService_StreamingInputCallServer

	received bool
}

// Recv implements testgrpc.TestService_StreamingInputCallServer.
func (s *patientStream) Recv() (*testgrpc.StreamingInputCallRequest, error) {
	in, err := s.TestService_StreamingInputCallServer.Recv()
	s.received = s.received || err == nil
	return in, err
}

// SendAndClose implements testgrpc.TestService_StreamingInputCallServer.
func (s *patientStream) SendAndClose(out *testgrpc.StreamingInputCallResponse) error {
	if !s.received {
		<-s.Context().Done()
		return status.FromContextError(s.Context().Err()).Err()
	}
	return s.TestService_StreamingInputCallServer.SendAndClose(out)
}
