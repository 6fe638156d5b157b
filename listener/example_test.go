package listener_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"culvert/fallback"
	"culvert/listener"
)

// Tunnels inside an HTTP/1.1 server that exists, for those who have a token.
func ExampleNew() {
	lis := listener.New(&listener.Config{Authorize: func(r *http.Request) (any, error) {
		if r.Header.Get("Authorization") != "Bearer xyz" {
			return nil, errors.New("a token is needed") // 403; a *RefusedError picks the status
		}
		return "the owner of xyz", nil
	}})
	routes := http.NewServeMux()
	routes.Handle("/culvert", lis)
	web := httptest.NewServer(routes)
	defer web.Close()

	who := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		info, _ := listener.FromContext(ctx)
		fmt.Println("a call by", info.Principal)
		return next(ctx, req)
	}
	srv := grpc.NewServer(append(lis.ServerOptions(), grpc.ChainUnaryInterceptor(who))...)
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	d := &fallback.Dialer{
		Mode:     fallback.WebSocket,
		Insecure: true, // of the example: the test server speaks cleartext
		Header: func(context.Context) (http.Header, error) {
			return http.Header{"Authorization": {"Bearer xyz"}}, nil
		},
	}
	defer d.Close()
	conn, err := grpc.NewClient(strings.TrimPrefix(web.URL, "http://"), d.DialOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	r, err := grpc_health_v1.NewHealthClient(conn).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.GetStatus())
	// Output:
	// a call by the owner of xyz
	// SERVING
}
