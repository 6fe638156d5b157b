package fallback_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"culvert/fallback"
)

// calls are the four kinds of RPC.
var calls = map[string]func(context.Context, testgrpc.TestServiceClient) error{
	"unary": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, 1000)}})
		return err
	},
	"server stream": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		st, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{
			ResponseParameters: []*testgrpc.ResponseParameters{{Size: 10}},
		})
		if err == nil {
			_, err = st.Recv()
		}
		return err
	},
	"client stream": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		st, err := c.StreamingInputCall(ctx)
		for range 3 {
			if err == nil {
				err = st.Send(&testgrpc.StreamingInputCallRequest{Payload: &testgrpc.Payload{Body: []byte("abc")}})
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		r, err := st.CloseAndRecv()
		if err == nil && r.GetAggregatedPayloadSize() != 9 {
			return errors.New("messages were lost")
		}
		return err
	},
	"bidi": func(ctx context.Context, c testgrpc.TestServiceClient) error {
		st, err := c.FullDuplexCall(ctx)
		if err == nil {
			err = st.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte("abc")}})
		}
		if err == nil {
			_, err = st.Recv()
		}
		return err
	},
}

// TestRefusedRPC has a way turn from native to h2 in front and HTTP/1.1 behind
// while native is relied on. The RPC that is refused first is made again through
// the tunnel, and its caller sees nothing of it.
func TestRefusedRPC(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := w.relay(pass)
				d := w.dialer()
				c := w.client(d, w.front)
				w.unary(c)
				if got := d.Status(w.front); got.Way != fallback.Direct {
					t.Fatalf("way: got %v (%s), want native", got.Way, got.Reason)
				}
				w.proxyHTTP1("h2", "http/1.1") // in the place of the relay
				r.cutAll(func(bool) bool { return true })
				<-time.After(time.Second) // the client has noticed
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				defer cancel()
				if err := call(ctx, c); err != nil {
					t.Errorf("got %v, want nil", err)
				}
				got := d.Status(w.front)
				if got.Way != fallback.Tunnel || !strings.Contains(got.Reason, "turned gRPC into HTTP/1.1") {
					t.Errorf("way: got %v (%s), want the tunnel", got.Way, got.Reason)
				}
			})
		})
	}
}

// TestPathRouted uses native gRPC that cannot be verified, since an ingress
// routes by path and has none for the verification, when there is no tunnel.
func TestPathRouted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.ingress("/grpc.testing.TestService/")
		d := w.dialer()
		c := w.client(d, w.front)
		w.unary(c)
		if got := d.Status(w.front); got.Way != fallback.Direct || !strings.Contains(got.Reason, "answered") {
			t.Errorf("way: got %v (%s), want native", got.Way, got.Reason)
		}
		k := w.talk(context.Background(), c)
		k.say(w, 10)
	})
}

// TestHop goes through the tunnel where a hop speaks HTTP/2 and does to gRPC
// what hops do.
func TestHop(t *testing.T) {
	for name, tt := range map[string]struct {
		hop    hop
		reason string
	}{
		"loses trailers":        {hop{loseTrailers: true}, "lost the trailers"},
		"buffers":               {hop{buffer: true}, "no answer"},
		"login page":            {hop{status: 200, body: "<title>Log in</title>"}, "HTTP 200"},
		"length required":       {hop{status: 411}, "HTTP 411"},
		"balancer":              {hop{status: 464}, "HTTP 464"},
		"wants HTTP/1.1":        {hop{reset: true}, "HTTP_1_1_REQUIRED"},
		"bad gateway, for gRPC": {hop{status: 502}, "HTTP 502"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.hop(tt.hop)
				d := w.dialer()
				c := w.client(d, w.front)
				for kind, call := range calls {
					ctx, cancel := context.WithTimeout(context.Background(), limit)
					defer cancel()
					if err := call(ctx, c); err != nil {
						t.Errorf("%s: got %v, want nil", kind, err)
					}
				}
				got := d.Status(w.front)
				if got.Way != fallback.Tunnel || !strings.Contains(got.Reason, tt.reason) {
					t.Errorf("way: got %v (%s), want the tunnel for %q", got.Way, got.Reason, tt.reason)
				}
			})
		})
	}
}
