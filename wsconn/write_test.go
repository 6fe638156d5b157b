package wsconn_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// counter counts the calls of Write of a connection.
type counter struct {
	net.Conn

	mu     sync.Mutex
	writes int
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes++
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// TestOneWriteAFrame checks that a frame is one write to the connection
// beneath, that long data becomes frames of Config.MaxFrame, and that the
// caller's buffers stay as they are.
func TestOneWriteAFrame(t *testing.T) {
	for name, role := range map[string]func(net.Conn, *wsconn.Config) *wsconn.Conn{"client": wsconn.Client, "server": wsconn.Server} {
		t.Run(name, func(t *testing.T) {
			a, b, err := testnet.Pair("tcp")
			if err != nil {
				t.Fatal(err)
			}
			count := &counter{Conn: a}
			w := role(count, nil)
			peer := map[string]func(net.Conn, *wsconn.Config) *wsconn.Conn{"client": wsconn.Server, "server": wsconn.Client}[name](b, nil)
			data := bytes.Repeat([]byte("0123456789"), 20_000) // 200,000 bytes
			before := bytes.Clone(data)
			go func() {
				_, _ = w.Write(data[:100])
				_, _ = w.WriteBuffers(net.Buffers{data[100:112], data[112:30_000]})
				_, _ = w.WriteBuffers(net.Buffers{data[30_000:30_001], data[30_001:30_002], data[30_002:30_003]})
				_, _ = w.WriteBuffers(nil)
				_, _ = w.Write(data[30_003:])
				_ = w.Close()
			}()
			got, err := io.ReadAll(peer)
			if err != nil || !bytes.Equal(got, before) || !bytes.Equal(data, before) {
				t.Errorf("got %d bytes, %v, equal %v, own buffer unchanged %v", len(got), err, bytes.Equal(got, before), bytes.Equal(data, before))
			}
			if want := 3 + 2 + 1; count.writes != want { // and the Close frame
				t.Errorf("got %d writes, want %d", count.writes, want)
			}
			_ = peer.Close()
			_ = w.Close()
		})
	}
}

// TestWritersDoNotMix has many writers; each message arrives in one piece.
func TestWritersDoNotMix(t *testing.T) {
	for _, kind := range testnet.Kinds {
		t.Run(kind, func(t *testing.T) {
			a, b, err := testnet.Pair(kind)
			if err != nil {
				t.Fatal(err)
			}
			w, r := wsconn.Server(a, &wsconn.Config{MaxFrame: 1000}), wsconn.Client(b, nil)
			const size = 5000
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for range 20 {
						_, _ = w.Write(bytes.Repeat([]byte{byte(i)}, size))
					}
				})
			}
			message := make([]byte, size)
			for range 8 * 20 {
				if _, err := io.ReadFull(r, message); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(message, bytes.Repeat(message[:1], size)) {
					t.Fatal("messages are mixed")
				}
			}
			wg.Wait()
			_ = w.Close()
			_ = r.Close()
		})
	}
}
