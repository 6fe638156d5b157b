package mux_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// short is the size of what grpc writes for a message of 16 bytes.
const short = 30

// reader is how grpc reads a stream.
type reader interface {
	ReadReady(get func() []byte) (int, error)
}

// BenchmarkShort is a round trip of a few bytes, layer by layer.
func BenchmarkShort(b *testing.B) {
	for _, layer := range []string{"tcp", "ws", "mux", "ws+mux"} {
		b.Run(layer, func(b *testing.B) {
			c, s, err := testnet.Pair("tcp")
			if err != nil {
				b.Fatal(err)
			}
			if layer == "ws" || layer == "ws+mux" {
				c, s = wsconn.Client(c, nil), wsconn.Server(s, nil)
			}
			stop := func() { _, _ = c.Close(), s.Close() }
			if layer == "mux" || layer == "ws+mux" {
				client, server, err := over(c, s, nil)
				if err != nil {
					b.Fatal(err)
				}
				stop = func() { _, _ = client.Close(), server.Close() }
				if c, err = client.Open(b.Context()); err != nil {
					b.Fatal(err)
				}
				if s, err = server.Accept(); err != nil {
					b.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() { pong(s) })
			buf := make([]byte, 32<<10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(buf[:short]); err != nil {
					b.Fatal(err)
				}
				if err := receive(c, buf); err != nil {
					b.Fatal(err)
				}
			}
			stop()
			wg.Wait()
		})
	}
}

// pong sends back what comes.
func pong(c net.Conn) {
	buf := make([]byte, 32<<10)
	for receive(c, buf) == nil {
		if _, err := c.Write(buf[:short]); err != nil {
			return
		}
	}
}

// receive reads a message of c.
func receive(c net.Conn, buf []byte) error {
	if r, ok := c.(reader); ok {
		n, err := r.ReadReady(func() []byte { return buf })
		if err == nil && n != short {
			err = io.ErrUnexpectedEOF // the writes are short: they come whole
		}
		return err
	}
	_, err := io.ReadFull(c, buf[:short])
	return err
}
