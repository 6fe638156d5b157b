package nginx_test

import (
	"crypto/subtle"
	"errors"
	"io"
	"math/rand/v2"
	"path"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	servicePath  = "/culvert.e2e.Echo/"
	messageSize  = 1 << 20 // bytes of payload
	messageCount = 4       // in each direction that streams
)

// kind is one of the four kinds of RPC, as a method of the echo service.
type kind struct {
	desc     grpc.StreamDesc
	requests int
	inTurn   bool // each request is answered before the next
	answers  func(requests [][]byte) [][]byte
}

var kinds = map[string]kind{
	"Unary":  {grpc.StreamDesc{}, 1, true, slices.Clone[[][]byte]},
	"Client": {grpc.StreamDesc{ClientStreams: true}, messageCount, false, func(p [][]byte) [][]byte { return [][]byte{sum(p)} }},
	"Server": {grpc.StreamDesc{ServerStreams: true}, 1, false, func(p [][]byte) [][]byte { return slices.Repeat(p, messageCount) }},
	"Bidi":   {grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, messageCount, true, slices.Clone[[][]byte]},
}

// handle serves the echo service, as a grpc.UnknownServiceHandler.
func handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	k, ok := kinds[path.Base(method)]
	if !ok {
		return status.Errorf(codes.Unimplemented, "no method %s", method)
	}
	var requests [][]byte
	for {
		var msg wrapperspb.BytesValue
		err := stream.RecvMsg(&msg)
		if errors.Is(err, io.EOF) {
			return send(stream, k.answers(requests))
		}
		if err != nil {
			return err
		}
		requests = append(requests, msg.GetValue())
		if k.inTurn {
			if err := send(stream, k.answers(requests)); err != nil {
				return err
			}
			requests = nil
		}
	}
}

// send sends each payload as a message.
func send(stream grpc.ServerStream, payloads [][]byte) error {
	for _, payload := range payloads {
		if err := stream.SendMsg(wrapperspb.Bytes(payload)); err != nil {
			return err
		}
	}
	return nil
}

// sum is the exclusive or of the payloads, which all have messageSize bytes.
func sum(payloads [][]byte) []byte {
	total := make([]byte, messageSize)
	for _, payload := range payloads {
		subtle.XORBytes(total, total, payload)
	}
	return total
}

// random returns n payloads, the same at each run.
func random(n int) [][]byte {
	source := rand.NewChaCha8([32]byte{'e', '2', 'e'})
	payloads := make([][]byte, n)
	for i := range payloads {
		payloads[i] = make([]byte, messageSize)
		_, _ = source.Read(payloads[i]) // never fails
	}
	return payloads
}
