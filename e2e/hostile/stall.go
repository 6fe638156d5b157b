package main

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"sync"

	"google.golang.org/grpc"

	"culvert/fallback"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// readAtMost is how many bytes of its connection a stalled client reads.
const readAtMost = 64 << 10

// A stalled is a gRPC client through a tunnel that reads no more after a while.
type stalled struct {
	client

	mu    sync.Mutex
	tcp   *stallConn
	ended bool
}

// stall returns one. It can resume its tunnel, or will as the server sees it,
// unless brief is set.
func (t *target) stall(from int, brief bool) *stalled {
	s := &stalled{}
	s.dialer = &fallback.Dialer{
		Mode: fallback.WebSocket, TLS: t.trust, Header: bearer("attacker"), DisableResume: brief,
		NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := t.connect(ctx, from)
			if err != nil {
				return nil, err
			}
			return s.keep(&stallConn{TCPConn: c, left: readAtMost, closed: make(chan struct{})})
		},
	}
	s.conn, _ = grpc.NewClient(t.addr, append(s.dialer.DialOptions(),
		grpc.WithInitialWindowSize(math.MaxInt32), grpc.WithInitialConnWindowSize(math.MaxInt32))...) // of good options
	return s
}

// keep makes c the only connection that s will ever have.
func (s *stalled) keep(c *stallConn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.tcp != nil {
		_ = c.Close()
		return nil, errors.New("there was one already")
	}
	s.tcp = c
	return c, nil
}

// cut cuts the connection, with a RST.
func (s *stalled) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.tcp != nil {
		_ = s.tcp.SetLinger(0)
		_ = s.tcp.Close()
	}
}

// end cuts the connection and frees what there is on this side.
func (s *stalled) end() {
	s.cut()
	_ = s.client.end()
}

// bulk calls for a lot, of which little comes, until the call or ctx ends.
func (t *target) bulk(ctx context.Context, s *stalled) {
	st, err := testgrpc.NewTestServiceClient(s.conn).StreamingOutputCall(ctx, bulkRequest(), grpc.WaitForReady(true))
	if err != nil {
		t.failed(ctx)
		return
	}
	t.add("RPCs", 1)
	for {
		if _, err := st.Recv(); err != nil {
			return
		}
	}
}

// stallConn is a connection that is not read any more after some bytes.
type stallConn struct {
	*net.TCPConn

	left   int
	once   sync.Once
	closed chan struct{}
}

// Read implements net.Conn.
func (c *stallConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		<-c.closed
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.TCPConn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// Close implements net.Conn.
func (c *stallConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.TCPConn.Close()
}
