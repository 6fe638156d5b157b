package mux_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v3/test"

	"culvert/internal/testnet"
)

// TestDeadlineStorm echoes on several streams while deadlines of their reads
// and writes come and go, and other streams are opened and closed beside them:
// whoever reads the connection for the others is interrupted at any moment, and
// nothing is lost or comes twice.
func TestDeadlineStorm(t *testing.T) {
	defer test.CheckRoutines(t)()
	for _, kind := range testnet.Kinds {
		for _, ws := range []bool{false, true} {
			t.Run(kind+map[bool]string{true: ", wsconn"}[ws], func(t *testing.T) {
				client, server, err := sessions(kind, ws, nil)
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for c, err := server.Accept(); err == nil; c, err = server.Accept() {
						go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
					}
				}()
				var wg sync.WaitGroup
				for i := range 4 {
					c, err := client.Open(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					data := bytes.Repeat([]byte{byte(i), 1, 2, 3, 4, 5, 6}, 20_000+i)
					wg.Go(func() {
						var writer sync.WaitGroup
						writer.Go(func() { sendAll(t, c, data) })
						receiveAll(t, c, data)
						writer.Wait()
						_ = c.Close()
					})
					wg.Go(func() {
						for range 50 {
							short, err := client.Open(t.Context())
							if err != nil {
								t.Errorf("Open: got %v, want nil", err)
								return
							}
							go func() { _, _ = short.Read(make([]byte, 10)) }()
							_, _ = short.Write([]byte("x"))
							_ = short.Close()
						}
					})
				}
				wg.Wait()
				_ = client.Close()
				_ = server.Close()
			})
		}
	}
}

// soon returns a deadline that has passed, comes at once, or none.
func soon() time.Time {
	switch rand.IntN(3) {
	case 0:
		return time.Unix(1, 0)
	case 1:
		return time.Now().Add(time.Duration(rand.IntN(200_000)))
	default:
		return time.Time{}
	}
}

// sendAll writes data in pieces, with deadlines.
func sendAll(t *testing.T, c net.Conn, data []byte) {
	for len(data) > 0 {
		_ = c.SetWriteDeadline(soon())
		n, err := c.Write(data[:min(len(data), 1+rand.IntN(3000))])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: got %v", err)
			return
		}
		data = data[n:]
	}
}

// receiveAll reads what sendAll wrote, with deadlines.
func receiveAll(t *testing.T, c net.Conn, want []byte) {
	b := make([]byte, 4000)
	for len(want) > 0 {
		_ = c.SetReadDeadline(soon())
		n, err := c.Read(b[:1+rand.IntN(len(b))])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || n > len(want) || !bytes.Equal(b[:n], want[:n]) {
			t.Errorf("Read: got %d bytes, %v, want the next of what was sent", n, err)
			return
		}
		want = want[n:]
	}
}
