package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/internal/testnet"
	"culvert/listener"
)

// demo runs a server, a proxy and clients, and prints what held.
func demo(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	timeout := fs.Duration("timeout", 10*time.Second, "")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	s, err := newStage()
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintf(stdout, "\n  client ──TLS──► proxy, HTTP/1.1 only ──TLS──► gRPC server\n"+
		"                  %-22s        %s\n\n", s.proxy.addr, s.lis.Addr())
	return s.show(ctx, stdout)
}

// stage is everything that the demo starts.
type stage struct {
	lis    *listener.Listener
	server *grpc.Server
	proxy  *proxy      // HTTP/1.1 on both sides
	front  *proxy      // h2 in front, HTTP/1.1 behind
	trust  *tls.Config // what a client needs
	closes []func()
}

func newStage() (*stage, error) {
	serverTLS, clientTLS, err := testnet.TLS("127.0.0.1")
	if err != nil {
		return nil, err
	}
	s := &stage{trust: clientTLS}
	if s.lis, err = listener.Listen("tcp", "127.0.0.1:0", &listener.Config{TLS: serverTLS}); err != nil {
		return nil, err
	}
	s.server = grpc.NewServer(s.lis.ServerOptions()...)
	(&echo.Server{}).Register(s.server)
	go func() { _ = s.server.Serve(s.lis) }()
	s.closes = append(s.closes, s.server.Stop)
	if s.proxy, err = startProxy(serverTLS, clientTLS, s.lis.Addr().String(), "http/1.1"); err != nil {
		s.close()
		return nil, err
	}
	s.closes = append(s.closes, s.proxy.close)
	if s.front, err = startProxy(serverTLS, clientTLS, s.lis.Addr().String(), "h2", "http/1.1"); err != nil {
		s.close()
		return nil, err
	}
	s.closes = append(s.closes, s.front.close)
	return s, nil
}

func (s *stage) close() {
	for i := len(s.closes) - 1; i >= 0; i-- {
		s.closes[i]()
	}
}

// native returns a client that is nothing but grpc.
func (s *stage) native(addr string) (testgrpc.TestServiceClient, error) {
	return s.client(addr, grpc.WithTransportCredentials(credentials.NewTLS(s.trust)))
}

// tunnel returns a client that has culvert's DialOptions and nothing else.
func (s *stage) tunnel(addr string) (testgrpc.TestServiceClient, *fallback.Dialer, error) {
	d := &fallback.Dialer{TLS: s.trust}
	s.closes = append(s.closes, func() { _ = d.Close() })
	c, err := s.client(addr, d.DialOptions()...)
	return c, d, err
}

func (s *stage) client(addr string, opts ...grpc.DialOption) (testgrpc.TestServiceClient, error) {
	cc, err := grpc.NewClient(addr, opts...)
	if err != nil {
		return nil, err
	}
	s.closes = append(s.closes, func() { _ = cc.Close() })
	return testgrpc.NewTestServiceClient(cc), nil
}

// show runs all rows and prints the table.
func (s *stage) show(ctx context.Context, stdout io.Writer) error {
	t := &table{w: stdout}
	for _, part := range []func(context.Context, *table) error{s.plain, s.through, s.found} {
		if err := part(ctx, t); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "\n  %d of %d rows held\n\n", t.held, t.rows)
	if t.held != t.rows {
		return errors.New("not every row held")
	}
	return nil
}

// plain shows what grpc-go does alone.
func (s *stage) plain(ctx context.Context, t *table) error {
	t.section("plain grpc-go")
	for _, r := range []struct {
		name, addr string
		run        func(context.Context, client) (string, error)
	}{
		{"straight to the server", s.lis.Addr().String(), unary},
		{"through the proxy: has to fail", s.proxy.addr, mustFail},
		{"h2 in front only: has to fail", s.front.addr, mustFail},
	} {
		c, err := s.native(r.addr)
		if err != nil {
			return err
		}
		t.row(ctx, r.name, func(ctx context.Context) (string, error) { return r.run(ctx, c) })
	}
	return nil
}

// through shows all that the tunnel carries.
func (s *stage) through(ctx context.Context, t *table) error {
	c, d, err := s.tunnel(s.proxy.addr)
	if err != nil {
		return err
	}
	t.section("grpc-go with culvert's DialOptions, through the proxy")
	for _, r := range rows {
		t.row(ctx, r.name, func(ctx context.Context) (string, error) { return r.run(ctx, c) })
	}
	t.row(ctx, "the way it went", func(context.Context) (string, error) {
		st := d.Status(s.proxy.addr)
		if st.Way != fallback.Tunnel || s.proxy.upgrades.Load() != 1 {
			return "", fmt.Errorf("got way %v and %d upgrades, want one tunnel", st.Way, s.proxy.upgrades.Load())
		}
		return "tunnel: all of it through 1 WebSocket", nil
	})
	return nil
}

// found shows that the way is found by itself.
func (s *stage) found(ctx context.Context, t *table) error {
	t.section("the same DialOptions elsewhere")
	for _, r := range []struct {
		name, addr string
		way        fallback.Way
	}{
		{"straight to the server", s.lis.Addr().String(), fallback.Direct},
		{"h2 in front, HTTP/1.1 behind", s.front.addr, fallback.Tunnel},
	} {
		c, d, err := s.tunnel(r.addr)
		if err != nil {
			return err
		}
		t.row(ctx, r.name, func(ctx context.Context) (string, error) {
			if _, err := unary(ctx, c); err != nil {
				return "", err
			}
			st := d.Status(r.addr)
			if st.Way != r.way {
				return "", fmt.Errorf("went %v (%s), want %v", st.Way, st.Reason, r.way)
			}
			return fmt.Sprintf("%v: %s", st.Way, st.Reason), nil
		})
	}
	return nil
}
