package nginx_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/e2e/cert"
	"culvert/e2e/nginx"
	"culvert/listener"
)

// TestRestart cuts the tunnel by ending nginx: an RPC in flight fails as it
// would on a lost native connection, and once nginx is back, so is the tunnel,
// on the same ClientConn.
func TestRestart(t *testing.T) {
	cfg := nginx.Config{Cert: cert.New(t), Backend: serve(t, &listener.Config{})}
	proxy, d := tunnel(t, cfg)
	client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, d.DialOptions()...))
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatalf("got %v, want a stream", err)
	}
	request := &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}}}
	if err := stream.Send(request); err != nil {
		t.Fatalf("got %v from Send, want nil", err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatalf("got %v from Recv, want an answer", err)
	}

	proxy.Cut(t)
	_, err = stream.Recv()
	t.Logf("in flight: %v", err)
	if got := status.Code(err); got != codes.Unavailable {
		t.Errorf("got %v for the RPC in flight, want code Unavailable", err)
	}

	cfg.Addr = proxy.Addr
	again := nginx.Start(t, cfg)
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}, grpc.WaitForReady(true)); err != nil {
		t.Errorf("got %v once nginx was back, want an answer", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("got %v from closing the dialer, want nil", err)
	}
	wantOneUpgrade(t, again)
}
