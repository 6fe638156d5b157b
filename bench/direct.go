package main

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"culvert/internal/ready"
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

// listenTuned is listenDirect with the options of listener.ServerOptions and
// fallback.Dialer.DialOptions that make grpc itself faster, to tell what of
// culvert's figures they are.
func listenTuned(s security) (*endpoint, error) {
	e, err := listenDirect(s)
	if err != nil {
		return nil, err
	}
	e.options = append(e.options, ready.ServerOptions()...)
	direct := e.client
	e.client = func(addr string) client {
		c := direct(addr)
		c.options = append(c.options, ready.DialOptions()...)
		return c
	}
	return e, nil
}
