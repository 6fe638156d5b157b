package fallback_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"culvert/fallback"
	"culvert/internal/testnet"
	"culvert/listener"
)

// A server on one port for native gRPC and for tunnels, and a client that goes
// through the tunnel.
func Example() {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{TLS: serverTLS})
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	d := &fallback.Dialer{TLS: clientTLS, Mode: fallback.WebSocket}
	defer d.Close()
	conn, err := grpc.NewClient(lis.Addr().String(), d.DialOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	r, err := grpc_health_v1.NewHealthClient(conn).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.GetStatus(), "by the", d.Status(lis.Addr().String()).Way)
	// Output: SERVING by the tunnel
}
