// Package echo is a gRPC service with a method of each of the four kinds, for
// tests, examples and the demo. Its types are those of grpc-go's own interop
// tests.
package echo

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// Metadata that the service treats in a special way.
const (
	HeaderKey  = "x-echo-header"  // sent back as a header
	TrailerKey = "x-echo-trailer" // sent back as a trailer
)

// Server implements the service. OnCall, if not nil, is called with the
// context of each RPC.
type Server struct {
	testgrpc.UnimplementedTestServiceServer

	OnCall func(context.Context)
}

// Register makes s known to a grpc.Server.
func (s *Server) Register(r grpc.ServiceRegistrar) { testgrpc.RegisterTestServiceServer(r, s) }

// enter does what all methods have in common: it sends metadata back.
func (s *Server) enter(ctx context.Context, setHeader func(metadata.MD) error, setTrailer func(metadata.MD)) error {
	if s.OnCall != nil {
		s.OnCall(ctx)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get(HeaderKey); len(v) > 0 {
		if err := setHeader(metadata.Pairs(HeaderKey, v[0])); err != nil {
			return err
		}
	}
	if v := md.Get(TrailerKey); len(v) > 0 {
		setTrailer(metadata.Pairs(TrailerKey, v[0]))
	}
	return nil
}

// UnaryCall returns the payload of the request, or the status it asks for.
func (s *Server) UnaryCall(ctx context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	err := s.enter(ctx,
		func(md metadata.MD) error { return grpc.SetHeader(ctx, md) },
		func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) })
	if err != nil {
		return nil, err
	}
	if st := r.GetResponseStatus(); st.GetCode() != 0 {
		return nil, status.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	return &testgrpc.SimpleResponse{Payload: r.GetPayload()}, nil
}

// StreamingOutputCall sends payloads of the sizes asked for.
func (s *Server) StreamingOutputCall(r *testgrpc.StreamingOutputCallRequest, st testgrpc.TestService_StreamingOutputCallServer) error {
	if err := s.enter(st.Context(), st.SetHeader, st.SetTrailer); err != nil {
		return err
	}
	return send(st.Context(), r, st.Send)
}

// StreamingInputCall returns how many payload bytes it received.
func (s *Server) StreamingInputCall(st testgrpc.TestService_StreamingInputCallServer) error {
	if err := s.enter(st.Context(), st.SetHeader, st.SetTrailer); err != nil {
		return err
	}
	var total int32
	for {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return st.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: total})
		}
		if err != nil {
			return err
		}
		total += int32(len(r.GetPayload().GetBody()))
	}
}

// FullDuplexCall echoes the payload of each request, or answers with payloads
// of the sizes that it asks for.
func (s *Server) FullDuplexCall(st testgrpc.TestService_FullDuplexCallServer) error {
	if err := s.enter(st.Context(), st.SetHeader, st.SetTrailer); err != nil {
		return err
	}
	for {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(r.GetResponseParameters()) > 0 {
			err = send(st.Context(), r, st.Send)
		} else {
			err = st.Send(&testgrpc.StreamingOutputCallResponse{Payload: r.GetPayload()})
		}
		if err != nil {
			return err
		}
	}
}

// zeros are what payloads are made of, so that RPCs which nobody reads hold no
// memory of the service itself.
var zeros [64 << 10]byte //nolint:gochecknoglobals // never changed

// body returns n bytes.
func body(n int) []byte {
	if n <= len(zeros) {
		return zeros[:n:n]
	}
	return make([]byte, n)
}

// send sends the payloads that r asks for, in its rhythm.
func send(ctx context.Context, r *testgrpc.StreamingOutputCallRequest, to func(*testgrpc.StreamingOutputCallResponse) error) error {
	for _, p := range r.GetResponseParameters() {
		if us := p.GetIntervalUs(); us > 0 {
			timer := time.NewTimer(time.Duration(us) * time.Microsecond)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return status.FromContextError(ctx.Err()).Err()
			}
		}
		if err := to(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: body(int(p.GetSize()))}}); err != nil {
			return err
		}
	}
	return nil
}
