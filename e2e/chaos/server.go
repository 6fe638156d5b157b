package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"culvert/listener"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// bulk is the size of the messages of the streams down and up.
const bulk = 64 << 10

// service is the server's end of the load.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	book *book
	stop <-chan struct{}
}

// UnaryCall verifies the request, which is one of its caller's flow, and
// returns its payload.
func (s *service) UnaryCall(_ context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	f, ok := s.book.flowOf(r.GetPayload().GetBody())
	if !ok {
		return nil, status.Error(codes.InvalidArgument, "no flow")
	}
	f.received(r.GetPayload().GetBody())
	return &testgrpc.SimpleResponse{Payload: r.GetPayload()}, nil
}

// FullDuplexCall returns each payload.
func (s *service) FullDuplexCall(st testgrpc.TestService_FullDuplexCallServer) error {
	for {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := st.Send(&testgrpc.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}

// StreamingOutputCall sends messages of the flow that the request names until
// the load is stopped.
func (s *service) StreamingOutputCall(r *testgrpc.StreamingOutputCallRequest, st testgrpc.TestService_StreamingOutputCallServer) error {
	f, ok := s.book.flowOf(r.GetPayload().GetBody())
	if !ok {
		return status.Error(codes.InvalidArgument, "no flow")
	}
	for {
		select {
		case <-s.stop:
			return nil
		default:
		}
		m := f.message(bulk - headSize)
		if err := st.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: m}}); err != nil {
			return err
		}
	}
}

// StreamingInputCall verifies what comes, and returns the number of messages.
func (s *service) StreamingInputCall(st testgrpc.TestService_StreamingInputCallServer) error {
	for n := int32(0); ; n++ {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return st.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: n})
		}
		if err != nil {
			return err
		}
		m := r.GetPayload().GetBody()
		f, ok := s.book.flowOf(m)
		if !ok {
			return status.Error(codes.InvalidArgument, "no flow")
		}
		f.received(m)
		s.book.upCount.Add(1)
		s.book.upBytes.Add(int64(len(m)))
	}
}

// flowName is a payload that names a flow.
func flowName(f *flow) *testgrpc.Payload {
	return &testgrpc.Payload{Body: binary.BigEndian.AppendUint64(nil, f.id)}
}

// serve starts the server. The function it returns ends it.
func serve(b *book, stop <-chan struct{}) (addr string, end func(), err error) {
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{})
	if err != nil {
		return "", nil, err
	}
	srv := grpc.NewServer(lis.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(srv, &service{book: b, stop: stop})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(lis); err != nil {
			b.fault(rpcError, "server", err.Error())
		}
	})
	return lis.Addr().String(), func() {
		srv.Stop()
		_ = lis.Close()
		wg.Wait()
	}, nil
}
