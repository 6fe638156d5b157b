package listener

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// verifyMethod is the RPC with which a client proves that gRPC passes from end
// to end (docs/PROTOCOL.md).
const verifyMethod = "/culvert.v1.Verify/Echo"

// Limits of a verification.
const (
	verifyMessages = 4
	verifySize     = 1 << 10
	verifyTimeout  = 10 * time.Second
	verifyAtOnce   = 64 // that a Listener's grpc.Server answers: each may decode as much as a message may have
)

// unknown serves what no service is registered for: verifications, which a hop
// has put on a connection beside other RPCs. Those on a connection of their own
// do not come here (verification.go).
func (l *Listener) unknown(_ any, ss grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(ss)
	if method == verifyMethod {
		return l.verify(ss)
	}
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return status.Errorf(codes.Unimplemented, "unknown service or method: service %q, method %q", service, name)
}

// interceptVerification answers verifications ahead of other interceptors and
// of another handler of unknown services.
func (l *Listener) interceptVerification(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	if info.FullMethod == verifyMethod {
		return l.verify(ss)
	}
	return h(srv, ss)
}

// verify sends each message back at once, while the request stays open.
func (l *Listener) verify(ss grpc.ServerStream) error {
	if l.verifying.Add(1) > verifyAtOnce {
		l.verifying.Add(-1)
		return status.Error(codes.ResourceExhausted, "too many verifications at once")
	}
	defer l.verifying.Add(-1)
	ended := make(chan error, 1)
	go func() { ended <- echo(ss) }()
	timer := time.NewTimer(verifyTimeout)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return status.Error(codes.DeadlineExceeded, "a verification is over sooner") // which ends echo
	case <-ss.Context().Done():
		return status.FromContextError(context.Cause(ss.Context())).Err()
	}
}

func echo(ss grpc.ServerStream) error {
	for range verifyMessages {
		var msg wrapperspb.BytesValue
		switch err := ss.RecvMsg(&msg); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(msg.GetValue()) > verifySize:
			return status.Errorf(codes.ResourceExhausted, "a message of a verification has %d bytes at most", verifySize)
		}
		if err := ss.SendMsg(&msg); err != nil {
			return err
		}
	}
	var more wrapperspb.BytesValue
	if err := ss.RecvMsg(&more); !errors.Is(err, io.EOF) {
		return status.Errorf(codes.ResourceExhausted, "a verification has %d messages at most", verifyMessages)
	}
	return nil
}
