package nginx_test

import (
	"slices"
	"sync"
	"testing"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"culvert/e2e/nginx"
	"culvert/listener"
)

// TestShare shows that the ClientConns of one Dialer share one WebSocket, also
// when they all come at once.
func TestShare(t *testing.T) {
	proxy, d := tunnel(t, nginx.Config{Backend: serve(t, &listener.Config{})})
	begin := make(chan struct{})
	var calls sync.WaitGroup
	for range 20 {
		client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, d.DialOptions()...))
		calls.Go(func() {
			<-begin
			if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); err != nil {
				t.Errorf("got %v, want an answer", err)
			}
		})
	}
	close(begin)
	calls.Wait()
	if err := d.Close(); err != nil {
		t.Errorf("got %v from closing the dialer, want nil", err)
	}
	wantOneUpgrade(t, proxy)
}

// wantOneUpgrade stops nginx, whose clients are gone, and fails the test unless
// it was asked for one WebSocket and for nothing else.
func wantOneUpgrade(t *testing.T, proxy *nginx.Server) {
	t.Helper()
	want := []nginx.Request{{Status: 101, Method: "GET", Path: "/culvert", Proto: "HTTP/1.1", Upgrade: "websocket"}}
	if got := proxy.Requests(t); !slices.Equal(got, want) {
		t.Errorf("got %+v in nginx's access log, want %+v", got, want)
	}
}
