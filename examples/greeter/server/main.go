// Command server says hello, natively and through tunnels, on one
// port:
//
//	go run ./examples/greeter/server -cert cert.pem -key key.pem
//	go run ./examples/greeter/server -insecure
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"culvert/listener"
)

// greeter is what protoc-gen-go-grpc would make of
//
//	service Greeter { rpc SayHello(google.protobuf.StringValue) returns (google.protobuf.StringValue); }
var greeter = grpc.ServiceDesc{
	ServiceName: "example.Greeter",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "SayHello",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			name := new(wrapperspb.StringValue)
			if err := decode(name); err != nil {
				return nil, err
			}
			return wrapperspb.String("Hello, " + name.GetValue() + "!"), nil
		},
	}},
}

func main() {
	addr := flag.String("addr", "127.0.0.1:50051", "address to listen on")
	cert := flag.String("cert", "", "certificate, PEM")
	key := flag.String("key", "", "its key, PEM")
	insecure := flag.Bool("insecure", false, "serve cleartext")
	flag.Parse()

	cfg := &listener.Config{}
	if !*insecure {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatalf("give -cert and -key, or -insecure: %v", err)
		}
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	lis, err := listener.Listen("tcp", *addr, cfg)
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	srv.RegisterService(&greeter, nil)
	log.Printf("gRPC on %v, tunnels at /culvert", lis.Addr())
	log.Fatal(srv.Serve(lis))
}
