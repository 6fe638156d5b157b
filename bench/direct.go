package main

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// listenDirect is gRPC as it comes: h2c over TCP, or its own TLS credentials.
func listenDirect(s security) (*endpoint, error) {
	lis, err := security{}.listen()
	if err != nil {
		return nil, err
	}
	e := &endpoint{lis: lis}
	creds := insecure.NewCredentials()
	if s.server != nil {
		e.options = []grpc.ServerOption{grpc.Creds(credentials.NewTLS(s.server))}
		creds = credentials.NewTLS(s.client)
	}
	e.client = func(addr string) client {
		return client{
			target:  "passthrough:///" + addr,
			options: []grpc.DialOption{grpc.WithTransportCredentials(creds)},
		}
	}
	return e, nil
}
