package nginx_test

import (
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"culvert/e2e/nginx"
	"culvert/listener"
)

func TestZZ(t *testing.T) {
	proxy, d := tunnel(t, nginx.Config{Backend: serve(t, &listener.Config{})})
	d.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t0 := time.Now()
	begin := make(chan struct{})
	var calls sync.WaitGroup
	for i := range 20 {
		client := testgrpc.NewTestServiceClient(connect(t, proxy.Addr, d.DialOptions()...))
		calls.Go(func() {
			<-begin
			_, err := client.EmptyCall(t.Context(), &testgrpc.Empty{})
			t.Log(i, time.Since(t0), err)
		})
	}
	close(begin)
	calls.Wait()
	t.Log("calls", time.Since(t0))
	d.Close()
	t.Log("close", time.Since(t0))
	t.Logf("%+v", proxy.Requests(t))
	t.Log("nginx", time.Since(t0))
}
