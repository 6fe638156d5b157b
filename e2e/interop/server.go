package interop

import (
	"context"

	orcagrpc "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
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
