package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime/pprof"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// A contender is one way to carry gRPC.
type contender struct {
	way    way
	secure bool
}

// way is how a contender carries gRPC, whatever the security.
type way struct {
	name string
	// listen starts the server's side on a port of its own.
	listen func(s security) (*endpoint, error)
}

// The ways with a part of their own: what all others are compared with, the
// same once more to show how far apart equals come out, the same with the
// options for grpc that culvert brings, and culvert as users have it.
const (
	baselineName = "direct"
	controlName  = "direct again"
	tunedName    = "direct tuned"
	productName  = "culvert"
	onceName     = "no resume" // culvert with tunnels that end with their WebSocket
)

// ways lists all ways, in the order of the tables.
var ways = []way{
	{baselineName, listenDirect},
	{controlName, listenDirect},
	{tunedName, listenTuned},
	{"naive", listenNaive},
	{"coder", listenCoder},
	{"ws", listenWS},
	{"ws+mux", listenMux},
	{onceName, listenUnresumed},
	{productName, listenProduct},
}

// few returns the names of the ways in rows that take long.
func few() []string { return []string{baselineName, controlName, onceName, productName} }

// contenders returns those whose names match pattern: all ways over TCP, then
// all ways over TLS.
func contenders(pattern *regexp.Regexp) []contender {
	var list []contender
	for _, secure := range []bool{false, true} {
		for _, w := range ways {
			if c := (contender{w, secure}); pattern.MatchString(c.String()) {
				list = append(list, c)
			}
		}
	}
	return list
}

// String returns the way and TCP or TLS: "naive TLS".
func (c contender) String() string { return c.way.name + " " + c.layer() }

// layer returns what is under the way: TCP or TLS.
func (c contender) layer() string {
	if c.secure {
		return "TLS"
	}
	return "TCP"
}

// security holds the two ends' TLS configurations; both nil mean cleartext.
type security struct{ server, client *tls.Config }

// withALPN returns a copy that offers and accepts protocol alone.
func (s security) withALPN(protocol string) security {
	if s.server == nil {
		return s
	}
	s.server, s.client = s.server.Clone(), s.client.Clone()
	s.server.NextProtos, s.client.NextProtos = []string{protocol}, []string{protocol}
	return s
}

// listen returns a TCP or TLS listener on a free loopback port.
func (s security) listen() (net.Listener, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil || s.server == nil {
		return lis, err
	}
	return tls.NewListener(lis, s.server), nil
}

// dial returns a TCP or TLS connection to addr.
func (s security) dial(ctx context.Context, addr string) (net.Conn, error) {
	if s.client == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{Config: s.client}).DialContext(ctx, "tcp", addr)
}

// An endpoint is a contender's server side, ready for grpc to serve on, and
// how to reach it.
type endpoint struct {
	lis     net.Listener
	options []grpc.ServerOption
	// client returns a client for the server that listens on addr: lis's own
	// address, or a relay's. It shares no connection with other clients.
	client func(addr string) client
}

// A client is what one or more ClientConns share.
type client struct {
	target  string
	options []grpc.DialOption
	close   func() error // nil when there is nothing to close
}

// clientOver returns a client whose ClientConns run on what dial returns.
func clientOver(addr string, dial func(ctx context.Context, addr string) (net.Conn, error), closer io.Closer) client {
	c := client{
		target: "passthrough:///" + addr,
		options: []grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(dial),
		},
	}
	if closer != nil {
		c.close = closer.Close
	}
	return c
}

// A stack is a contender at work: a grpc server that answers.
type stack struct {
	contender
	pair     security
	codec    codec
	endpoint *endpoint
	service  *service
	server   *grpc.Server
	served   chan error
}

// start starts c. All that it starts carries its name as a profile label.
func (c contender) start(ctx context.Context, pair security, cod codec) (*stack, error) {
	if !c.secure {
		pair = security{}
	}
	s := &stack{contender: c, pair: pair, codec: cod, service: new(service), served: make(chan error, 1)}
	var err error
	pprof.Do(ctx, pprof.Labels("contender", c.String()), func(context.Context) {
		if s.endpoint, err = c.way.listen(pair); err != nil {
			return
		}
		s.server = grpc.NewServer(append(s.endpoint.options, grpc.ForceServerCodecV2(cod))...)
		s.server.RegisterService(&serviceDesc, s.service)
		go func() { s.served <- s.server.Serve(s.endpoint.lis) }()
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", c, err)
	}
	return s, nil
}

// Close stops the server and waits for it.
func (s *stack) Close() error {
	s.server.Stop()
	err := s.endpoint.lis.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil // Stop closed it
	}
	return errors.Join(err, <-s.served)
}

// conns opens n ClientConns over one client and makes a call on each.
func (s *stack) conns(ctx context.Context, n int) (*connections, error) {
	return s.connsTo(ctx, s.endpoint.lis.Addr().String(), n)
}

// connsTo is conns through addr, a relay's.
func (s *stack) connsTo(ctx context.Context, addr string, n int) (*connections, error) {
	cl := s.endpoint.client(addr)
	conns := &connections{close: cl.close}
	for range n {
		cc, err := grpc.NewClient(cl.target, append(cl.options,
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(s.codec)))...)
		if err == nil {
			conns.list = append(conns.list, cc)
			err = call(ctx, cc, 1)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%v: %w", s, err), conns.Close())
		}
	}
	return conns, nil
}

// settle waits until no streaming call is left on the server, and until what
// is on its way through cc has arrived.
func (s *stack) settle(ctx context.Context, cc *grpc.ClientConn) error {
	for s.service.active.Load() > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		time.Sleep(100 * time.Microsecond)
	}
	return call(ctx, cc, 1)
}

// connections are ClientConns and what they share.
type connections struct {
	list  []*grpc.ClientConn
	close func() error
}

// Close closes all of it.
func (c *connections) Close() error {
	var errs []error
	for _, cc := range c.list {
		errs = append(errs, cc.Close())
	}
	if c.close != nil {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
