package main

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"culvert/internal/ready"
	"culvert/mux"
	"culvert/resume"
	"culvert/wsconn"
)

// BenchmarkLayers has a message of 38 bytes go there and back through more and
// more layers, without a kernel or a scheduler: over a connection in memory, by
// one goroutine. That is too short for what a layer costs among system calls,
// about by half, but varies by no more than a few percent.
func BenchmarkLayers(b *testing.B) {
	layers := []struct {
		name string
		wrap func(b *testing.B, near, far net.Conn) (net.Conn, net.Conn)
	}{
		{"memory", func(_ *testing.B, near, far net.Conn) (net.Conn, net.Conn) { return near, far }},
		{"ws", overWebSocket},
		{"ws+mux", func(b *testing.B, near, far net.Conn) (net.Conn, net.Conn) {
			near, far = overWebSocket(b, near, far)
			return overMux(b, near, far)
		}},
		{"ws+resume", overResume},
		{"ws+resume+mux", func(b *testing.B, near, far net.Conn) (net.Conn, net.Conn) {
			near, far = overResume(b, near, far)
			return overMux(b, near, far)
		}},
	}
	for _, l := range layers {
		b.Run(l.name, func(b *testing.B) {
			var there, back half
			there.more.L, back.more.L = &there.mu, &back.mu
			near, far := l.wrap(b, &inMemory{in: &back, out: &there}, &inMemory{in: &there, out: &back})
			defer near.Close()
			defer far.Close()
			reader, farReader := ready.New(near), ready.New(far)
			message := make([]byte, 38)
			pool := &onePool{make([]byte, 32<<10)}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = near.Write(message)
				_, _, _ = farReader.ReadOnReady(len(pool.b), pool)
				_, _ = far.Write(message)
				if _, n, err := reader.ReadOnReady(len(pool.b), pool); n != len(message) {
					b.Fatalf("got %d bytes and %v, want %d", n, err, len(message))
				}
			}
		})
	}
}

// unbeaten is a WebSocket without a heartbeat of its own, as beneath resume.
func unbeaten(onText func([]byte)) *wsconn.Config {
	return &wsconn.Config{PingInterval: -1, OnText: onText}
}

func overWebSocket(_ *testing.B, near, far net.Conn) (net.Conn, net.Conn) {
	return wsconn.Client(near, unbeaten(nil)), wsconn.Server(far, unbeaten(nil))
}

func overResume(b *testing.B, near, far net.Conn) (net.Conn, net.Conn) {
	b.Helper()
	client := resume.New(nil, func(ctx context.Context, _ *resume.Attachment) (resume.Carrier, uint64, error) {
		return nil, 0, context.Cause(ctx) // there is no other carrier
	})
	server := resume.New(nil, nil)
	atClient, atServer := client.Prepare(), server.Prepare()
	if err := atClient.Attach(wsconn.Client(near, unbeaten(atClient.OnText)), atServer.Offset()); err != nil {
		b.Fatal(err)
	}
	if err := atServer.Attach(wsconn.Server(far, unbeaten(atServer.OnText)), atClient.Offset()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Abort)
	b.Cleanup(server.Abort)
	return client, server
}

func overMux(b *testing.B, near, far net.Conn) (net.Conn, net.Conn) {
	b.Helper()
	accepted := make(chan net.Conn, 1)
	client, err := mux.Client(near, nil)
	if err != nil {
		b.Fatal(err)
	}
	server, err := mux.Server(far, &mux.Config{Handle: func(_ *mux.Session, st net.Conn) { accepted <- st }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	st, err := client.Open(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return st, <-accepted
}

// onePool has one buffer.
type onePool struct{ b []byte }

func (p *onePool) Get(int) *[]byte { return &p.b }
func (*onePool) Put(*[]byte)       {}

// half is one direction of a connection in memory.
type half struct {
	mu     sync.Mutex
	more   sync.Cond
	buf    bytes.Buffer
	closed bool
}

// inMemory is one end of a connection in memory.
type inMemory struct{ in, out *half }

func (c *inMemory) Read(p []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for c.in.buf.Len() == 0 && !c.in.closed {
		c.in.more.Wait()
	}
	return c.in.buf.Read(p)
}

func (c *inMemory) Write(p []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.more.Signal()
	return c.out.buf.Write(p)
}

func (c *inMemory) Close() error {
	for _, h := range []*half{c.in, c.out} {
		h.mu.Lock()
		h.closed = true
		h.more.Broadcast()
		h.mu.Unlock()
	}
	return nil
}

func (*inMemory) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*inMemory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*inMemory) SetDeadline(time.Time) error      { return nil }
func (*inMemory) SetReadDeadline(time.Time) error  { return nil }
func (*inMemory) SetWriteDeadline(time.Time) error { return nil }
