package mux_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"culvert/internal/testnet"
	"culvert/mux"
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

// memory is a connection that takes whatever is written and, from start to
// done, has the same bytes to read again and again.
type memory struct {
	net.Conn

	in    []byte
	start chan struct{} // nil: never
	done  chan struct{}
	once  sync.Once
}

func (m *memory) Write(p []byte) (int, error) { return len(p), nil }
func (m *memory) Read(p []byte) (int, error) {
	select { // one case by itself is fast
	case <-m.start:
		return copy(p, m.in), nil
	default:
	}
	select {
	case <-m.start:
		return copy(p, m.in), nil
	case <-m.done:
		return 0, io.EOF
	}
}
func (m *memory) Close() error                     { m.once.Do(func() { close(m.done) }); return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) LocalAddr() net.Addr              { return nil }
func (m *memory) RemoteAddr() net.Addr             { return nil }

// BenchmarkShortWrite writes to no network.
func BenchmarkShortWrite(b *testing.B) {
	s, err := mux.Client(wsconn.Client(&memory{done: make(chan struct{})}, nil), nil)
	if err != nil {
		b.Fatal(err)
	}
	st, err := s.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, short)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n += short; n > 250<<10 { // the window is used up, and nobody opens it
			b.StopTimer()
			n = 0
			if st, err = s.Open(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if _, err := st.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.Close()
}

// BenchmarkShortRead reads from no network.
func BenchmarkShortRead(b *testing.B) {
	m := &memory{done: make(chan struct{}), start: make(chan struct{})}
	s, err := mux.Client(wsconn.Server(m, nil), nil)
	if err != nil {
		b.Fatal(err)
	}
	st, err := s.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	in := []byte{0x82, 0x80 | (12 + short), 0, 0, 0, 0, 0, 0, 0, 0}
	in = binary.BigEndian.AppendUint32(in, 1)
	in = binary.BigEndian.AppendUint32(in, short)
	m.in = append(in, make([]byte, short)...)
	buf := make([]byte, 32<<10)
	get := func() []byte { return buf }
	time.AfterFunc(10*time.Millisecond, func() { close(m.start) })
	for n := 0; n != short; { // what came before this side reads is joined
		if n, err = st.(reader).ReadReady(get); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if n, err := st.(reader).ReadReady(get); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
	_ = s.Close()
}
