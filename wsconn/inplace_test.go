package wsconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"culvert/internal/testnet"
)

// TestWriteFrame sends frames without a copy, in both roles, and with what
// makes a copy necessary.
func TestWriteFrame(t *testing.T) {
	for _, kind := range testnet.Kinds {
		for _, row := range []struct {
			name     string
			size     int
			deadline bool
			cfg      *Config
		}{
			{"one byte", 1, false, nil},
			{"nothing", 0, false, nil},
			{"middle", 1000, false, nil},
			{"large", 128 << 10, false, nil},
			{"deadline", 100_000, true, nil},
			{"longer than MaxFrame", 10_000, false, &Config{MaxFrame: 1000}},
		} {
			for _, client := range []bool{true, false} {
				t.Run(kind+" "+row.name, func(t *testing.T) {
					near, far, err := testnet.Pair(kind)
					if err != nil {
						t.Fatal(err)
					}
					from, to := newConn(near, row.cfg, client, "", nil), newConn(far, nil, !client, "", nil)
					defer from.Close()
					defer to.Close()
					if row.deadline {
						from.SetWriteDeadline(time.Now().Add(time.Hour))
					}
					want := bytes.Repeat([]byte("culvert!"), row.size/8+1)[:row.size]
					go func() {
						for range 3 {
							b := append(make([]byte, MaxHeaderSize+2), want...)
							mask, err := from.WriteFrame(b, MaxHeaderSize+2)
							if err != nil {
								t.Errorf("got %v from WriteFrame, want nil", err)
							}
							for i := range want {
								b[MaxHeaderSize+2+i] ^= mask[i&3]
							}
							if !bytes.Equal(b[MaxHeaderSize+2:], want) {
								t.Errorf("got another payload left behind than the one sent, masked with %x", mask)
							}
						}
						from.Close()
					}()
					got, err := io.ReadAll(to)
					if err != nil || !bytes.Equal(got, bytes.Repeat(want, 3)) {
						t.Errorf("got %d bytes, %v, want 3 times %d", len(got), err, row.size)
					}
				})
			}
		}
	}
}

// TestWriteAfterText sends texts with data, in both roles, and with what makes
// two writes necessary.
func TestWriteAfterText(t *testing.T) {
	for _, kind := range testnet.Kinds {
		for _, row := range []struct {
			name     string
			size     int
			deadline bool
			cfg      *Config
			writes   int
		}{
			{"one byte", 1, false, nil, 1},
			{"nothing", 0, false, nil, 1},
			{"middle", 1000, false, nil, 1},
			{"large", 100 << 10, false, nil, 2},
			{"deadline", 1000, true, nil, 2},
			{"longer than MaxFrame", 1000, false, &Config{MaxFrame: 100}, 11},
		} {
			for _, client := range []bool{true, false} {
				t.Run(kind+" "+row.name, func(t *testing.T) {
					near, far, err := testnet.Pair(kind)
					if err != nil {
						t.Fatal(err)
					}
					counted := &countingConn{Conn: near}
					var texts []byte
					from := newConn(counted, row.cfg, client, "", nil)
					to := newConn(far, &Config{OnText: func(b []byte) { texts = append(texts, b...) }}, !client, "", nil)
					defer from.Close()
					defer to.Close()
					if row.deadline {
						from.SetWriteDeadline(time.Now().Add(time.Hour))
					}
					want := bytes.Repeat([]byte("culvert!"), row.size/8+1)[:row.size]
					go func() {
						for range 3 {
							if n, err := from.WriteAfterText([]byte("text"), want); n != len(want) || err != nil {
								t.Errorf("got %d, %v from WriteAfterText, want %d, nil", n, err, len(want))
							}
						}
						if n := int(counted.writes.Load()); n != 3*row.writes {
							t.Errorf("got %d writes, want 3 times %d", n, row.writes)
						}
						from.Close()
					}()
					got, err := io.ReadAll(to)
					if err != nil || !bytes.Equal(got, bytes.Repeat(want, 3)) || string(texts) != "texttexttext" {
						t.Errorf("got %d bytes, %v, and the texts %q, want 3 times %d and text", len(got), err, texts, row.size)
					}
				})
			}
		}
	}
}

// countingConn counts writes.
type countingConn struct {
	net.Conn

	writes atomic.Int32
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// TestAbort ends calls in flight at once, without a Close frame.
func TestAbort(t *testing.T) {
	for _, kind := range testnet.Kinds {
		t.Run(kind, func(t *testing.T) {
			near, far, err := testnet.Pair(kind)
			if err != nil {
				t.Fatal(err)
			}
			c, peer := Client(near, nil), Server(far, nil)
			defer peer.Close()
			ended := make(chan error, 2)
			go func() {
				_, err := c.Read(make([]byte, 1))
				ended <- err
			}()
			go func() {
				var err error
				for err == nil { // until the peer, which does not read, takes no more
					_, err = c.Write(make([]byte, 100_000))
				}
				ended <- err
			}()
			<-time.After(20 * time.Millisecond)
			begin := time.Now()
			c.Abort()
			for range 2 {
				if err := <-ended; err == nil {
					t.Error("got nil from a call in flight, want an error")
				}
			}
			if err := c.Close(); err != nil || time.Since(begin) > 200*time.Millisecond {
				t.Errorf("got %v after %v, want nil at once", err, time.Since(begin))
			}
			c.Abort() // once more does nothing
			if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v from Write after Abort, want net.ErrClosed", err)
			}
		})
	}
}
