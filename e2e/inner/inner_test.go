package inner_test

import (
	"bytes"
	"testing"

	"github.com/pion/transport/v3/test"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"culvert/e2e/internal/rpc"
	"culvert/listener"
)

// TestCertificates makes RPCs of all kinds: gRPC sees at both ends the
// certificate of the other one, and not squid's.
func TestCertificates(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	s := openGate(t, "").serve(t, nil)
	c, _ := s.client(t, s.dialer(s.inside()))
	if err := rpc.FourKinds(t.Context(), c, bytes.Repeat([]byte("body"), 10_000)); err != nil {
		t.Fatal(err)
	}
	if got := presented(t, c); !got.Equal(s.origin.Server.Certificates[0].Leaf) {
		t.Errorf("got a certificate of %v by %v, want the server's", got.DNSNames, got.Issuer)
	}
	if len(s.calls) != 5 {
		t.Errorf("got %d RPCs at the server, want 5", len(s.calls))
	}
	for range len(s.calls) {
		ctx := <-s.calls
		p, _ := peer.FromContext(ctx)
		if got := leaf(t, p.AuthInfo); !got.Equal(s.own.Leaf) {
			t.Errorf("got a certificate of %v at the server, want the client's", got.DNSNames)
		}
		if info, _ := listener.FromContext(ctx); !info.Tunnel {
			t.Error("got an RPC that came natively")
		}
	}
}

// TestResumed cuts the TCP connection to squid while an RPC is open, which goes
// on, in the same inner TLS.
func TestResumed(t *testing.T) {
	const cuts = 3
	t.Cleanup(test.CheckRoutines(t))
	s := openGate(t, "").serve(t, nil)
	c, _ := s.client(t, s.dialer(s.inside()))
	stream, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range cuts + 1 {
		body := bytes.Repeat([]byte{byte(n)}, 50_000)
		if err := stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: body}}); err != nil {
			t.Fatal(err)
		}
		if n < cuts {
			s.wires.cut()
		}
		r, err := stream.Recv()
		if err != nil || !bytes.Equal(r.GetPayload().GetBody(), body) {
			t.Fatalf("got %d bytes and %v after %d cuts, want the message", len(r.GetPayload().GetBody()), err, n)
		}
		if got := presented(t, c); !got.Equal(s.origin.Server.Certificates[0].Leaf) {
			t.Errorf("got a certificate of %v by %v, want the server's", got.DNSNames, got.Issuer)
		}
	}
	_ = stream.CloseSend() // never fails
	if got := s.lis.Stats(); got.Opened != 1 || got.Resumed < cuts {
		t.Errorf("got %+v, want one tunnel that was resumed %d times", got, cuts)
	}
	if got := s.wires.dialled(); got <= cuts {
		t.Errorf("got %d connections to squid, want more than %d", got, cuts)
	}
}
