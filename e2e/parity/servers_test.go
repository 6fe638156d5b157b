package parity_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"culvert/e2e/cert"
	"culvert/listener"
)

var quiet = log.New(io.Discard, "", 0)

var pair = sync.OnceValue(func() func(t testing.TB) *cert.Pair {
	var once sync.Once
	var p *cert.Pair
	return func(t testing.TB) *cert.Pair {
		once.Do(func() { p = cert.New(t, "api.test", "other.test") })
		return p
	}
})()

// said is what the server saw of an RPC, as its answer tells.
func said(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	auth := "none"
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			auth = "tls"
			if len(info.State.PeerCertificates) > 0 {
				auth = info.State.PeerCertificates[0].DNSNames[0]
			}
		}
	}
	return strings.Join(md.Get(":authority"), ",") + " " + auth
}

// flaky counts the calls of one world that fail twice.
var flaky atomic.Int64

// service answers with what it saw. What is asked for picks how.
var service = grpc.ServiceDesc{
	ServiceName: "parity.Service", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: func(_ any, ctx context.Context, dec func(any) error, ic grpc.UnaryServerInterceptor) (any, error) {
		m := new(wrapperspb.StringValue)
		if err := dec(m); err != nil {
			return nil, err
		}
		h := func(ctx context.Context, req any) (any, error) {
			return answer(ctx, req.(*wrapperspb.StringValue).GetValue())
		}
		if ic == nil {
			return h(ctx, m)
		}
		return ic(ctx, m, &grpc.UnaryServerInfo{FullMethod: "/parity.Service/Call"}, h)
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
		s.SetTrailer(metadata.Pairs("parity", "trailer"))
		for {
			m := new(wrapperspb.StringValue)
			if err := s.RecvMsg(m); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := s.SendMsg(wrapperspb.String(said(s.Context()))); err != nil {
				return err
			}
		}
	}}},
}

func answer(ctx context.Context, how string) (*wrapperspb.StringValue, error) {
	if how == "flaky" && flaky.Add(1)%3 != 0 {
		return nil, status.Error(codes.Unavailable, "again")
	}
	_ = grpc.SetTrailer(ctx, metadata.Pairs("parity", "trailer", "parity-bin", "\x00\xff"))
	_ = grpc.SetHeader(ctx, metadata.Pairs("parity", "header"))
	switch how {
	case "fail":
		st, _ := status.New(codes.ResourceExhausted, "nö %").WithDetails(&errdetails.ErrorInfo{Reason: "quota"})
		return nil, st.Err()
	case "hang":
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	case "slow":
		select {
		case <-time.After(400 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if n, err := strconv.Atoi(how); err == nil {
		return wrapperspb.String(strings.Repeat("x", n)), nil
	}
	return wrapperspb.String(said(ctx)), nil
}

// serve starts a server on port: culvert's Listener or grpc-go's alone.
func (w *world) serve(port net.Listener, tunnels bool) *grpc.Server {
	opts := w.serverOpts
	var lis net.Listener = port
	switch {
	case tunnels:
		cfg := &listener.Config{}
		if w.secure {
			cfg.TLS = w.pair.Server.Clone()
		}
		l := listener.Wrap(port, cfg)
		lis, opts = l, append(l.ServerOptions(), opts...)
	case w.secure:
		opts = append([]grpc.ServerOption{grpc.Creds(credentials.NewTLS(w.pair.Server.Clone()))}, opts...)
	}
	srv := grpc.NewServer(opts...)
	srv.RegisterService(&service, nil)
	go func() { _ = srv.Serve(lis) }()
	w.Cleanup(srv.Stop)
	return srv
}

// secure has the port speak TLS.
func secure(w *world) { w.secure = true }

// culvert is a server that has tunnels too.
func culvert(w *world) {
	l := w.listen("127.0.0.1:0")
	w.backend = l.Addr().String()
	w.start = append([]func(){func() { w.serve(l, true) }}, w.start...)
}

// plain is a server of grpc-go alone.
func plain(w *world) {
	l := w.listen("127.0.0.1:0")
	w.backend = l.Addr().String()
	w.start = append([]func(){func() { w.serve(l, false) }}, w.start...)
}

// socket is a culvert server on a unix socket; target has its path in it.
func socket(format string, abstract bool) part {
	return func(w *world) {
		path := filepath.Join(w.TempDir(), "s")
		addr := path
		if abstract {
			path = "culvert-parity-" + strconv.FormatInt(time.Now().UnixNano(), 36)
			addr = "@" + path
		}
		l, err := net.Listen("unix", addr)
		if err != nil {
			w.Fatal(err)
		}
		w.start = append(w.start, func() { w.serve(l, true) })
		w.target = strings.ReplaceAll(format, "%s", path)
	}
}

// loopback6 is a culvert server on the IPv6 loopback.
func loopback6(w *world) {
	l := w.listen("[::1]:0")
	w.backend = l.Addr().String()
	w.start = append(w.start, func() { w.serve(l, true) })
}

// serverTLS changes the server's certificate or configuration.
func serverTLS(change func(*tls.Config)) part {
	return func(w *world) {
		p := *w.pair
		p.Server = w.pair.Server.Clone()
		change(p.Server)
		w.pair = &p
	}
}

// clientTLS changes the client's.
func clientTLS(change func(w *world, cfg *tls.Config)) part {
	return func(w *world) { change(w, w.clientTLS()) }
}
