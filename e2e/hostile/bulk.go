package main

import (
	"bytes"
	"encoding/binary"
	"math"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

const (
	bulkMessage = 64 << 10
	bulkNumber  = 1000
)

// bulkRequest asks for a lot.
func bulkRequest() *testgrpc.StreamingOutputCallRequest {
	r := &testgrpc.StreamingOutputCallRequest{}
	for range bulkNumber {
		r.ResponseParameters = append(r.ResponseParameters, &testgrpc.ResponseParameters{Size: bulkMessage})
	}
	return r
}

// bulkCall returns an RPC that asks for a lot, as a client of HTTP/2 sends it on
// a new connection, with windows that take it all.
func bulkCall() ([]byte, error) {
	request, err := proto.Marshal(bulkRequest())
	if err != nil {
		return nil, err
	}
	message := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request)))
	message = append(message, request...)
	var head, b bytes.Buffer
	e := hpack.NewEncoder(&head)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: testgrpc.TestService_StreamingOutputCall_FullMethodName},
		{Name: ":authority", Value: "127.0.0.1"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := e.WriteField(f); err != nil {
			return nil, err
		}
	}
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil) // whose writes into a Buffer do not fail
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: math.MaxInt32})
	_ = f.WriteWindowUpdate(0, math.MaxInt32-1<<16)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true})
	_ = f.WriteData(1, true, message)
	return b.Bytes(), nil
}
