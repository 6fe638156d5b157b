package ready

import (
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
)

// ServerOptions are grpc's own options that a server of tunnels is faster with.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))),
		grpc.WriteBufferSize(BufferSize),
		grpc.ReadBufferSize(BufferSize),
		experimental.BufferPool(Buffers),
	}
}

// DialOptions is ServerOptions for a client.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithWriteBufferSize(BufferSize),
		grpc.WithReadBufferSize(BufferSize),
		experimental.WithBufferPool(Buffers),
	}
}
