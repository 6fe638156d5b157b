package cork_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"culvert/internal/cork"
	"culvert/internal/testnet"
)

// record is how much a record of TLS holds.
const record = 16 << 10

// counter counts the writes to a connection.
type counter struct {
	net.Conn

	writes int
}

func (c *counter) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// pair returns a TLS connection over a pipe that runs on a Conn, what counts the
// writes beneath, and the peer. It is the client's end or the server's.
func pair(t *testing.T, client bool, version uint16) (near *tls.Conn, writes *int, far *tls.Conn) {
	t.Helper()
	c, s := net.Pipe()
	count := &counter{Conn: c}
	servers, clients, err := testnet.TLS("localhost")
	if err != nil {
		t.Fatal(err)
	}
	clients.ServerName = "localhost"
	servers.MaxVersion, clients.MaxVersion = version, version
	if client {
		near, far = tls.Client(cork.New(count), clients), tls.Server(s, servers)
	} else {
		near, far = tls.Server(cork.New(count), servers), tls.Client(s, clients)
	}
	done := make(chan error, 1)
	go func() { done <- far.Handshake() }()
	if err := errors.Join(near.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return near, &count.writes, far
}

// TestWrite has writes of all sizes arrive as they are, and large ones leave in
// few writes to the connection beneath.
func TestWrite(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		for _, client := range []bool{true, false} {
			near, writes, far := pair(t, client, version)
			received := make(chan []byte)
			go func() {
				b, _ := io.ReadAll(far)
				received <- b
			}()
			data := make([]byte, 1<<20)
			_, _ = rand.Read(data)
			var sent []byte
			// TLS begins with small records.
			for _, size := range []int{1 << 20, 1, record, record + 1, 2 * record, 2*record + 1, 128 << 10, 128<<10 + 14, 1<<20 - 1, 0} {
				before := *writes
				n, err := cork.NewWriter(near).Write(data[:size])
				if n != size || err != nil {
					t.Fatalf("%s, %d bytes: got %d, %v", name, size, n, err)
				}
				sent = append(sent, data[:size]...)
				if got, most := *writes-before, size/(2*record)+1; len(sent) > len(data) && got > most {
					t.Errorf("%s, %d bytes: got %d writes, want at most %d", name, size, got, most)
				}
			}
			if err := cork.NewWriter(near).Close(); err != nil {
				t.Error(err)
			}
			if got := <-received; !bytes.Equal(got, sent) {
				t.Errorf("%s: got %d other bytes, want %d", name, len(got), len(sent))
			}
			_ = far.Close()
		}
	}
}

// TestTimeout has a Write pass its deadline while records wait. Nothing may
// follow, since the peer has a part of a record.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _, far := pair(t, true, tls.VersionTLS13)
		_ = near.NetConn().SetWriteDeadline(time.Now().Add(time.Second))
		data := make([]byte, 20<<10)
		if n, err := cork.NewWriter(near).Write(data); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %d, %v, want 0 and a timeout", n, err)
		}
		_ = near.NetConn().SetWriteDeadline(time.Time{})
		go func() {
			for _, size := range []int{1, len(data)} {
				if n, err := cork.NewWriter(near).Write(data[:size]); n != 0 || err == nil {
					t.Errorf("got %d, %v, want an error", n, err)
				}
			}
			_ = cork.NewWriter(near).Close()
		}()
		if n, err := far.Read(data); n != 0 || err == nil {
			t.Errorf("got %d bytes, %v, want an error", n, err)
		}
		_ = far.Close()
	})
}

// TestClose closes a connection whose Write waits, without waiting itself.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _, far := pair(t, false, tls.VersionTLS13)
		done := make(chan error)
		go func() {
			_, err := cork.NewWriter(near).Write(make([]byte, 20<<10))
			done <- err
		}()
		synctest.Wait()
		began := time.Now()
		_ = cork.NewWriter(near).Close()
		if err := <-done; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v, want %v", err, io.ErrClosedPipe)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited %v", waited)
		}
		_ = far.Close()
	})
}

// TestPlain passes on what it is given for TLS that does not run on a Conn.
func TestPlain(t *testing.T) {
	far, _, near := pair(t, true, tls.VersionTLS13)
	data := bytes.Repeat([]byte("plain"), 10_000)
	go func() {
		if n, err := cork.NewWriter(near).Write(data); n != len(data) || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		_ = cork.NewWriter(near).Close()
	}()
	if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	_ = far.Close()
}
