// Package rpc serves and makes RPCs of all four kinds, for tests of what is
// between both ends.
package rpc

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	"culvert/internal/echo"
	"culvert/listener"
)

// Serve serves s on a port of this machine until the test ends.
func Serve(t *testing.T, cfg *listener.Config, s *echo.Server) *listener.Listener {
	t.Helper()
	lis, err := listener.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	s.Register(srv)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = lis.Shutdown(ctx) // a proxy may hold a connection open
	})
	return lis
}
