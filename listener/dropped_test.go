package listener_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"culvert/fallback"
	"culvert/internal/testnet"
	"culvert/listener"
	"culvert/resume"
)

// drop removes header fields whose names begin with a prefix.
func drop(h http.Header, prefix string) {
	for key := range h {
		if prefix != "" && strings.HasPrefix(key, prefix) {
			delete(h, key)
		}
	}
}

// dropping returns the address of a hop that drops fields of requests and
// answers.
func dropping(t *testing.T, l net.Listener, request, answer string) string {
	t.Helper()
	rp := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: l.Addr().String()})
			drop(r.Out.Header, request)
		},
		ModifyResponse: func(r *http.Response) error {
			drop(r.Header, answer)
			return nil
		},
	}
	hop := httptest.NewServer(rp)
	t.Cleanup(hop.Close)
	return hop.Listener.Addr().String()
}

// echoServer serves l with one method for all: it sends back what comes.
func echoServer(t *testing.T, l *listener.Listener) {
	t.Helper()
	s := grpc.NewServer(append(l.ServerOptions(), grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		for {
			var m wrapperspb.BytesValue
			if err := ss.RecvMsg(&m); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			if err := ss.SendMsg(&m); err != nil {
				return err
			}
		}
	}))...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
}

// chat sends messages on one stream, with pauses in which acknowledgements would
// come, and at last one that is larger than what is kept to be sent again.
func chat(ctx context.Context, target string, d *fallback.Dialer) error {
	cc, err := grpc.NewClient(target, append(d.DialOptions(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))...)
	if err != nil {
		return err
	}
	defer cc.Close()
	st, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/any.Thing/Chat")
	if err != nil {
		return err
	}
	for _, size := range []int{1, 1000, 3 << 20, 10, 3 << 20} {
		m := wrapperspb.Bytes(make([]byte, size))
		if err := errors.Join(st.SendMsg(m), st.RecvMsg(m)); err != nil {
			return err
		}
		<-time.After(100 * time.Millisecond)
	}
	return errors.Join(st.CloseSend(), errEnd(st.RecvMsg(&wrapperspb.BytesValue{})))
}

func errEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestDroppedFields has a hop drop our header fields: the tunnel works without
// what they would have brought.
func TestDroppedFields(t *testing.T) {
	for _, tt := range []struct{ request, answer string }{
		{"Culvert-", ""},
		{"", "Culvert-"},
		{"Culvert-", "Culvert-"},
		{"Culvert-First-Stream", ""},
		{"Culvert-First-Stream", "Culvert-"},
		{"Culvert-Resume", ""},
		{"Culvert-Confirm", ""},
		{"", "Culvert-Session"},
		{"", "Culvert-Instance"},
		{"", "Culvert-Max-Streams"},
	} {
		t.Run(tt.request+" and "+tt.answer, func(t *testing.T) {
			quick := &resume.Config{AckDelay: 5 * time.Millisecond}
			l := listen(t, &listener.Config{Resume: quick})
			echoServer(t, l)
			d := &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true, Resume: quick}
			defer d.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := chat(ctx, dropping(t, l, tt.request, tt.answer), d); err != nil {
				t.Errorf("got %v, want nil", err)
			}
		})
	}
}

// TestDroppedInnerTLS shows that inner TLS is never given up silently: the error
// names the field that was dropped.
func TestDroppedInnerTLS(t *testing.T) {
	server, client, err := testnet.TLS("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, require := range []bool{false, true} {
		for _, tt := range []struct{ request, answer string }{{"Culvert-", ""}, {"", "Culvert-"}, {"Culvert-Inner-", ""}} {
			t.Run(tt.request+" and "+tt.answer, func(t *testing.T) {
				l := listen(t, &listener.Config{InnerTLS: server, RequireInnerTLS: require})
				echoServer(t, l)
				d := &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true, InnerTLS: client}
				defer d.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err := chat(ctx, dropping(t, l, tt.request, tt.answer), d)
				if err == nil || !strings.Contains(err.Error(), "Culvert-Inner-TLS") {
					t.Errorf("required %v: got %v, want an error that names Culvert-Inner-TLS", require, err)
				}
			})
		}
	}
}
