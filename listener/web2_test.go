package listener_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"

	"culvert/internal/echo"
	"culvert/listener"
)

// counted counts the connections and RPCs that a grpc.Server sees.
type counted struct{ conns, rpcs atomic.Int64 }

func (c *counted) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	c.rpcs.Add(1)
	return ctx
}
func (c *counted) HandleRPC(context.Context, stats.RPCStats) {}
func (c *counted) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	c.conns.Add(1)
	return ctx
}
func (c *counted) HandleConn(context.Context, stats.ConnStats) {}

// web starts a server with a Handler.
func web(t *testing.T, cfg *listener.Config) (*listener.Listener, *counted) {
	t.Helper()
	seen := &counted{}
	cfg.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.URL.Path)
	})
	l, err := listener.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(append(l.ServerOptions(), grpc.StatsHandler(seen))...)
	(&echo.Server{}).Register(srv)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := l.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
	})
	return l, seen
}

// TestHandlerHTTP2 gives requests of HTTP/2 that are not gRPC to the Handler, and
// gRPC to the grpc.Server.
func TestHandlerHTTP2(t *testing.T) {
	l, _ := web(t, &listener.Config{})
	get := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	defer get.CloseIdleConnections()
	for _, path := range []string{"/healthz", "/again"} {
		resp, err := (&http.Client{Transport: get, Timeout: 5 * time.Second}).Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := "HTTP/2.0 " + path; string(body) != want {
			t.Errorf("got %s %q, want %q", resp.Status, body, want)
		}
	}
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	for range 3 {
		if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
			t.Errorf("gRPC: got %v, want nil", err)
		}
	}
}

// raw is a client of HTTP/2 that sees each frame.
type raw struct {
	*testing.T

	conn   net.Conn
	framer *http2.Framer
	acks   int
}

func dialRaw(t *testing.T, l *listener.Listener) *raw {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	r := &raw{T: t, conn: c, framer: http2.NewFramer(c, c)}
	r.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return r
}

// head returns the field block of a request.
func head(path, contentType string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "h"}, {"content-type", contentType}, {"te", "trailers"},
	} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return block.Bytes()
}

// until reads frames until stop says that one is the last.
func (r *raw) until(stop func(http2.Frame) bool) {
	r.Helper()
	for {
		f, err := r.framer.ReadFrame()
		if err != nil {
			r.Fatalf("got %v, want a frame", err)
		}
		if s, ok := f.(*http2.SettingsFrame); ok {
			if s.IsAck() {
				r.acks++
			} else {
				_ = r.framer.WriteSettingsAck()
			}
		}
		if stop(f) {
			return
		}
	}
}

// TestHandlerAfterSettings serves a client that waits for the server's SETTINGS
// before its first request, which is not gRPC: each SETTINGS is acknowledged once.
func TestHandlerAfterSettings(t *testing.T) {
	for range 20 {
		l, _ := web(t, &listener.Config{})
		r := dialRaw(t, l)
		_, _ = io.WriteString(r.conn, opening)
		r.until(func(f http2.Frame) bool {
			s, ok := f.(*http2.SettingsFrame)
			return ok && !s.IsAck()
		})
		_ = r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head("/page", "text/plain"), EndHeaders: true, EndStream: true})
		var body strings.Builder
		r.until(func(f http2.Frame) bool {
			d, ok := f.(*http2.DataFrame)
			if ok {
				body.Write(d.Data())
			}
			return ok && d.StreamEnded()
		})
		_ = r.framer.WritePing(false, [8]byte{1})
		r.until(func(f http2.Frame) bool { _, ok := f.(*http2.PingFrame); return ok })
		if body.String() != "HTTP/2.0 /page" || r.acks != 1 {
			t.Errorf("got %q and %d acknowledgements, want the page and 1", body.String(), r.acks)
		}
	}
}

// TestVerificationUnseen answers verifications, and whatever else comes on such a
// connection, without the grpc.Server.
func TestVerificationUnseen(t *testing.T) {
	l, seen := web(t, &listener.Config{})
	r := dialRaw(t, l)
	const message = "\x00\x00\x00\x00\x04\x0a\x02hi"
	var first bytes.Buffer
	first.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	framer := http2.NewFramer(&first, nil)
	_ = framer.WriteSettings(http2.Setting{ID: 0xfc75, Val: 1})
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head("/culvert.v1.Verify/Echo", "application/grpc"), EndHeaders: true})
	_ = framer.WriteData(1, false, []byte(message))
	_, _ = r.conn.Write(first.Bytes())
	echoes := func(f http2.Frame) bool {
		d, ok := f.(*http2.DataFrame)
		return ok && string(d.Data()) == message
	}
	r.until(echoes)
	_ = r.framer.WriteData(1, false, []byte(message))
	r.until(echoes)
	_ = r.framer.WriteData(1, true, nil)
	status := ""
	ended := func(f http2.Frame) bool {
		h, ok := f.(*http2.MetaHeadersFrame)
		if ok && h.StreamEnded() {
			for _, field := range h.Fields {
				if field.Name == "grpc-status" {
					status = field.Value
				}
			}
		}
		return ok && h.StreamEnded()
	}
	r.until(ended)
	if status != "0" {
		t.Errorf("got status %q, want 0", status)
	}
	_ = r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: head("/other", "application/grpc"), EndHeaders: true, EndStream: true})
	if r.until(ended); status != "12" {
		t.Errorf("another method: got status %q, want 12", status)
	}
	_ = r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: head("/culvert.v1.Verify/Echo", "application/grpc"), EndHeaders: true})
	_ = r.framer.WriteData(5, false, []byte{0, 0, 0x40, 0, 0})
	if r.until(ended); status != "8" {
		t.Errorf("a message of 4 MiB: got status %q, want 8", status)
	}
	if got := seen.conns.Load() + seen.rpcs.Load(); got != 0 {
		t.Errorf("the grpc.Server saw %d, want nothing", got)
	}
}
