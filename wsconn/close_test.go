package wsconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/pion/transport/v3/test"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// TestCloseWith checks what the peer is told.
func TestCloseWith(t *testing.T) {
	for _, tt := range []struct {
		name   string
		code   uint16
		reason string
		want   uint16
	}{
		{"normal", 1000, "", 1000},
		{"own code", 4999, "why", 4999},
		{"may not be sent", 1006, "why", 1000},
		{"no status", 1005, "", 1000},
		{"longest reason", 1011, strings.Repeat("x", 120), 1011},
		{"reason too long", 1011, strings.Repeat("x", 1000), 1011},
		{"reason cut inside a rune", 1011, strings.Repeat("\u20ac", 100), 1011},
	} {
		for _, client := range []bool{false, true} {
			conn, far := rawPair(client, nil)
			go func() { _ = conn.CloseWith(tt.code, tt.reason) }()
			f, err := readFrame(far)
			if err != nil || f.Header.OpCode != ws.OpClose || f.Header.Masked != client || f.Header.Length > 125 {
				t.Fatalf("%s: got %+v, %v, want a Close frame", tt.name, f.Header, err)
			}
			code, reason := ws.ParseCloseFrameData(ws.UnmaskFrame(f).Payload)
			if uint16(code) != tt.want || !utf8.ValidString(reason) || len(tt.reason) <= 120 && reason != tt.reason {
				t.Errorf("%s: got %d %q, want %d %q", tt.name, code, reason, tt.want, tt.reason)
			}
			if _, err := far.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as net.Pipe returns it
				t.Errorf("%s: got %v behind the Close frame, want io.EOF", tt.name, err)
			}
			_ = conn.Close()
		}
	}
}

// TestAfterClose calls everything on a closed connection.
func TestAfterClose(t *testing.T) {
	conn, far := rawPair(true, nil)
	go func() { _, _ = io.Copy(io.Discard, far) }()
	if err := conn.Close(); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
	b := make([]byte, 1)
	_, read := conn.Read(b)
	_, readNothing := conn.Read(nil)
	_, readBuffer := conn.ReadBuffer(b)
	_, write := conn.Write(b)
	_, writeBuffers := conn.WriteBuffers(net.Buffers{b, b})
	for name, err := range map[string]error{
		"Read": read, "Read(nil)": readNothing, "ReadBuffer": readBuffer, "Write": write, "WriteBuffers": writeBuffers,
		"WriteText": conn.WriteText(b), "SetDeadline": conn.SetDeadline(time.Time{}),
		"SetReadDeadline": conn.SetReadDeadline(time.Time{}), "SetWriteDeadline": conn.SetWriteDeadline(time.Time{}),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v, want net.ErrClosed", name, err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Errorf("the second Close: got %v, want nil", err)
	}
}

// TestCloseTimeout bounds Close where the peer takes no more bytes: 250 ms for
// a Write in flight or for the Close frame, or what Config says.
func TestCloseTimeout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cfg     *wsconn.Config
		writing bool
		want    time.Duration
	}{
		{"the Close frame", nil, false, 250 * time.Millisecond},
		{"a Write in flight", nil, true, 250 * time.Millisecond},
		{"own timeout", &wsconn.Config{CloseTimeout: time.Second}, true, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, far := rawPair(false, tt.cfg)
				defer far.Close()
				results := make(chan error, 2)
				go func() { _, err := conn.Read(make([]byte, 1)); results <- err }()
				go func() {
					if !tt.writing {
						results <- net.ErrClosed
						return
					}
					_, err := conn.Write([]byte("nobody reads this"))
					results <- err
				}()
				synctest.Wait()
				start := time.Now()
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() {
						if err := conn.Close(); err != nil || time.Since(start) != tt.want {
							t.Errorf("got %v after %v, want nil after %v", err, time.Since(start), tt.want)
						}
					})
				}
				both.Wait()
				for range 2 {
					if err := <-results; !errors.Is(err, net.ErrClosed) {
						t.Errorf("got %v, want net.ErrClosed", err)
					}
				}
			})
		})
	}
}

// TestCloseLetsWriteFinish delivers a Write that was in flight when Close was
// called, and the Close frame behind it.
func TestCloseLetsWriteFinish(t *testing.T) {
	for name, limit := range map[string]time.Duration{"no deadline": 0, "deadline": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, far := rawPair(true, nil)
				if limit > 0 {
					_ = conn.SetWriteDeadline(time.Now().Add(limit))
				}
				go func() { _, _ = conn.Write([]byte("last words")) }()
				synctest.Wait()
				go func() { _ = conn.Close() }()
				synctest.Wait()
				if got, err := io.ReadAll(wsconn.Server(far, nil)); err != nil || string(got) != "last words" {
					t.Errorf("got %q, %v, want last words", got, err)
				}
				_ = far.Close()
				_ = conn.Close()
			})
		})
	}
}

// TestCloseTakesItsGoroutines closes connections in the middle of traffic in
// both directions and of PINGs, over everything, and looks for what is left.
func TestCloseTakesItsGoroutines(t *testing.T) {
	for _, kind := range testnet.Kinds {
		t.Run(kind, func(t *testing.T) {
			defer test.CheckRoutines(t)()
			for range 20 {
				a, b, err := testnet.Pair(kind)
				if err != nil {
					t.Fatal(err)
				}
				conns := []*wsconn.Conn{wsconn.Client(a, nil), wsconn.Server(b, nil)}
				var wg sync.WaitGroup
				for _, c := range conns {
					_ = c.SetWriteDeadline(time.Now().Add(time.Hour)) // has Write run goroutines
					wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
					wg.Go(func() {
						for data := bytes.Repeat([]byte("x"), 100_000); ; {
							if _, err := c.Write(data); err != nil {
								return
							}
						}
					})
				}
				for _, c := range conns {
					wg.Go(func() { _ = c.Close() })
					wg.Go(func() { _ = c.Close() })
				}
				wg.Wait()
			}
		})
	}
}
