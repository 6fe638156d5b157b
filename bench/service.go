package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// The methods of the service. Each answers with messages as long as the
// request's.
const (
	serviceName = "culvert.bench.Bytes"
	unaryMethod = "/" + serviceName + "/Unary"
	pingMethod  = "/" + serviceName + "/Ping"
	downMethod  = "/" + serviceName + "/Down"
	upMethod    = "/" + serviceName + "/Up"
)

// maxMessage is the longest message of any row, in bytes.
const maxMessage = 1 << 20

// pattern is what messages are made of: the first bytes of it, always the
// same, and nothing that could be compressed.
var pattern = func() []byte {
	b := make([]byte, maxMessage)
	chacha := rand.NewChaCha8([32]byte([]byte("culvert measures bytes, not data")))
	chacha.Read(b) // never fails
	return b
}()

// message is what the codec carries: on the way out a prefix of pattern of
// that size, on the way in the size alone, compared with pattern if check is
// set.
type message struct {
	size  int
	check bool
	field []byte // the codec's copy, which is garbage
}

// codec is a grpc codec that does not encode, so that what is measured is the
// transport. It copies as much as protobuf does for a message that is one field
// of bytes, or nothing.
type codec struct{ copies bool }

// Name is sent as the content subtype.
func (codec) Name() string { return "bench" }

// Marshal lends pattern itself, or a copy in a pooled buffer.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("bench: cannot marshal a %T", v)
	}
	if !c.copies {
		return mem.BufferSlice{mem.SliceBuffer(pattern[:m.size])}, nil
	}
	pool := mem.DefaultBufferPool()
	buf := pool.Get(m.size)
	copy(*buf, pattern)
	return mem.BufferSlice{mem.NewBuffer(buf, pool)}, nil
}

// Unmarshal notes the size of what came. To copy, it puts the pieces together
// in a pooled buffer and the field into one of its own.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("bench: cannot unmarshal into a %T", v)
	}
	m.size = data.Len()
	if m.size > maxMessage {
		return fmt.Errorf("bench: message of %d bytes", m.size)
	}
	if m.check && !bytes.Equal(data.Materialize(), pattern[:m.size]) {
		return fmt.Errorf("bench: message of %d bytes arrived changed", m.size)
	}
	if c.copies {
		whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
		m.field = append([]byte(nil), whole.ReadOnlyData()...)
		whole.Free()
	}
	return nil
}

// service is the server's side of every row.
type service struct {
	check    bool         // compare each byte: for tests
	received atomic.Int64 // messages that Up has received
	active   atomic.Int64 // streaming calls that are running
}

var serviceDesc = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: handleUnary}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Ping", Handler: counted((*service).ping), ServerStreams: true, ClientStreams: true},
		{StreamName: "Down", Handler: counted((*service).down), ServerStreams: true},
		{StreamName: "Up", Handler: counted((*service).up), ClientStreams: true},
	},
}

// handleUnary is what protoc would generate.
func handleUnary(srv any, ctx context.Context, dec func(any) error, ic grpc.UnaryServerInterceptor) (any, error) {
	in := &message{check: srv.(*service).check}
	if err := dec(in); err != nil {
		return nil, err
	}
	if ic == nil {
		return in, nil
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: unaryMethod}
	return ic(ctx, in, info, func(_ context.Context, req any) (any, error) { return req, nil })
}

// counted makes a grpc.StreamHandler that keeps service.active.
func counted(f func(*service, grpc.ServerStream) error) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) error {
		s := srv.(*service)
		s.active.Add(1)
		defer s.active.Add(-1)
		return f(s, stream)
	}
}

// ping answers each message at once, until the client closes its side.
func (s *service) ping(stream grpc.ServerStream) error {
	m := &message{check: s.check}
	for {
		if err := stream.RecvMsg(m); err != nil {
			return ignoreEOF(err)
		}
		if err := stream.SendMsg(m); err != nil {
			return err
		}
	}
}

// down sends messages until the client cancels.
func (s *service) down(stream grpc.ServerStream) error {
	m := &message{check: s.check}
	if err := stream.RecvMsg(m); err != nil {
		return err
	}
	for {
		if err := stream.SendMsg(m); err != nil {
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
}

// up receives messages until the client closes its side, and answers with the
// last of them.
func (s *service) up(stream grpc.ServerStream) error {
	m := &message{check: s.check}
	for {
		if err := stream.RecvMsg(m); err != nil {
			if err := ignoreEOF(err); err != nil {
				return err
			}
			if m.size == 0 {
				return status.Error(codes.InvalidArgument, "no message came")
			}
			return stream.SendMsg(m)
		}
		s.received.Add(1)
	}
}
