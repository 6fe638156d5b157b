package nginx_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"culvert/listener"
)

// TestMessages sends 1 MiB messages of random bytes both ways in all four kinds
// of RPC, and compares each byte.
func TestMessages(t *testing.T) {
	for _, front := range fronts {
		t.Run(front.name, func(t *testing.T) {
			cfg := front.cfg
			cfg.Backend = serve(t, &listener.Config{}, grpc.UnknownServiceHandler(handle))
			proxy, d := tunnel(t, cfg)
			conn := connect(t, proxy.Addr, d.DialOptions()...)
			for name, k := range kinds {
				t.Run(name, func(t *testing.T) { exchange(t, conn, name, k) })
			}
		})
	}
}

// exchange runs one RPC of the kind and checks its answers.
func exchange(t *testing.T, conn *grpc.ClientConn, name string, k kind) {
	stream, err := conn.NewStream(t.Context(), &k.desc, servicePath+name)
	if err != nil {
		t.Fatalf("got %v, want a stream", err)
	}
	sent := random(k.requests)
	want := k.answers(sent)
	var got [][]byte
	for _, payload := range sent {
		if err := stream.SendMsg(wrapperspb.Bytes(payload)); err != nil {
			t.Fatalf("got %v from SendMsg, want nil", err)
		}
		if k.inTurn {
			got = append(got, receive(t, stream))
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatalf("got %v from CloseSend, want nil", err)
	}
	for len(got) < len(want) {
		got = append(got, receive(t, stream))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("answer %d: got %d bytes, want %d others", i, len(got[i]), len(want[i]))
		}
	}
	if !k.desc.ServerStreams {
		return // the only answer came with the status
	}
	if err := stream.RecvMsg(&wrapperspb.BytesValue{}); !errors.Is(err, io.EOF) {
		t.Errorf("got %v after the last answer, want EOF", err)
	}
}

// receive returns the payload of the next answer.
func receive(t *testing.T, stream grpc.ClientStream) []byte {
	t.Helper()
	var msg wrapperspb.BytesValue
	if err := stream.RecvMsg(&msg); err != nil {
		t.Fatalf("got %v from RecvMsg, want an answer", err)
	}
	return msg.GetValue()
}
