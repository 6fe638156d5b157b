package listener

import (
	"context"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"

	"culvert/internal/ready"
)

// Info tells how an RPC came.
type Info struct {
	Tunnel    bool        // through a tunnel, not natively
	Principal any         // what Config.Authorize returned for the tunnel
	Header    http.Header // of the tunnel's upgrade request; not to be changed
}

type infoKey struct{}

// FromContext returns the Info of the RPC whose handler has ctx. It reports
// false if the server does not have the Listener's ServerOptions.
func FromContext(ctx context.Context) (Info, bool) {
	info, ok := ctx.Value(infoKey{}).(*Info)
	if !ok {
		return Info{}, false
	}
	return *info, true
}

// ServerOptions returns the options for a grpc.Server that serves the
// Listener: Credentials, the interceptors that put Info into the context of
// each RPC, an answer to clients that verify that gRPC passes, buffer sizes, a
// pool of buffers, and as many stream workers as there are processors: a call is
// served on a stack that has grown already.
// The interceptors are chained ahead of those in later options. A later
// grpc.UnknownServiceHandler takes the place of the one that is among them, and
// a later grpc.NumStreamWorkers(0) means a goroutine for each RPC again.
func (l *Listener) ServerOptions() []grpc.ServerOption {
	return append([]grpc.ServerOption{
		grpc.Creds(l.Credentials()),
		grpc.ChainUnaryInterceptor(l.unaryInfo),
		grpc.ChainStreamInterceptor(l.interceptVerification, l.streamInfo),
		grpc.UnknownServiceHandler(l.unknown),
	}, ready.ServerOptions()...)
}

// native is the Info of every RPC that came natively.
var native = &Info{} //nolint:gochecknoglobals // never changed

// withInfo puts the Info of the peer's connection into ctx.
func (l *Listener) withInfo(ctx context.Context) context.Context {
	info := native
	if p, ok := peer.FromContext(ctx); ok {
		if v, ok := l.infos.Load(p.Addr); ok {
			info = v.(*Info)
		}
	}
	return context.WithValue(ctx, infoKey{}, info)
}

func (l *Listener) unaryInfo(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	return h(l.withInfo(ctx), req)
}

func (l *Listener) streamInfo(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	return h(srv, &infoStream{ServerStream: ss, ctx: l.withInfo(ss.Context())})
}

// infoStream is a stream whose context has the Info.
type infoStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // how grpc hands a context on
}

// Context implements grpc.ServerStream.
func (s *infoStream) Context() context.Context { return s.ctx }

// BufferPool returns the pool that ServerOptions and fallback's DialOptions have
// grpc receive messages with. For those that it sends, grpc takes what it calls
// the default pool, which only a program may set:
//
//	func init() { experimental.SetDefaultBufferPool(listener.BufferPool()) }
//
// Otherwise a message of 33 KiB to 1 MiB that waits to be sent costs 1 MiB. The
// pool does not clear what it hands out: a codec that takes buffers from it has to
// write all that it returns, as grpc's do.
func BufferPool() mem.BufferPool { return ready.Buffers }
