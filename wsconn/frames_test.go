package wsconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// payloads reads n frames of a Conn in the given role from r, as gobwas/ws
// sees them: whole binary messages, masked as they should be.
func payloads(t *testing.T, r io.Reader, client bool, n int) [][]byte {
	t.Helper()
	var list [][]byte
	for range n {
		f, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode != ws.OpBinary || !f.Header.Fin || f.Header.Rsv != 0 || f.Header.Masked != client {
			t.Fatalf("got the header %+v, want a binary message, masked %v", f.Header, client)
		}
		if client && f.Header.Mask == [4]byte{} {
			t.Error("got a mask of zeros")
		}
		list = append(list, ws.UnmaskFrame(f).Payload)
	}
	return list
}

// TestFramesOnTheWire checks how WriteBuffers divides its parts into frames
// around each border: of the header's sizes, of the pools and of MaxFrame; over
// TCP, where a server uses writev, and over a pipe.
func TestFramesOnTheWire(t *testing.T) {
	parts := func(sizes ...int) (v net.Buffers) {
		for i, n := range sizes {
			v = append(v, bytes.Repeat([]byte{byte('a' + i)}, n))
		}
		return v
	}
	tests := []struct {
		maxFrame int
		parts    net.Buffers
		want     []int // sizes of the frames
	}{
		{0, nil, nil},
		{0, parts(0), nil},
		{0, parts(0, 0), nil},
		{0, parts(0, 0, 0), nil},
		{0, parts(1), []int{1}},
		{0, parts(0, 1), []int{1}},
		{0, parts(125), []int{125}},
		{0, parts(126), []int{126}},
		{0, parts(12, 113), []int{125}},
		{0, parts(12, 114), []int{126}},
		{0, parts(1, 2, 3, 4), []int{10}},
		{0, parts(2034), []int{2034}},
		{0, parts(12, 2023), []int{2035}},
		{0, parts(12, 4083), []int{4095}},
		{0, parts(12, 4084), []int{4096}},
		{0, parts(63, 5000), []int{5063}},
		{0, parts(65, 5000), []int{5065}},
		{0, parts(5000, 0), []int{5000}},
		{1 << 16, parts(12, 65523), []int{65535}},
		{1 << 16, parts(12, 65524), []int{65536}},
		{1 << 16, parts(12, 65525), []int{65536, 1}},
		{1 << 16, parts(70000, 70000, 1), []int{65536, 65536, 8929}},
		{1 << 20, parts(12, 300_000), []int{300_012}},
		{10, parts(25, 7), []int{10, 10, 10, 2}},
		{10, parts(10, 10), []int{10, 10}},
		{1, parts(1, 2), []int{1, 1, 1}},
	}
	for _, kind := range []string{"pipe", "tcp"} {
		for _, client := range []bool{false, true} {
			for _, tt := range tests {
				var sizes []int
				for _, p := range tt.parts {
					sizes = append(sizes, len(p))
				}
				t.Run(fmt.Sprintf("%s/client=%v/%v", kind, client, sizes), func(t *testing.T) {
					a, far, err := testnet.Pair(kind)
					if err != nil {
						t.Fatal(err)
					}
					role := map[bool]func(net.Conn, *wsconn.Config) *wsconn.Conn{false: wsconn.Server, true: wsconn.Client}[client]
					conn := role(a, &wsconn.Config{MaxFrame: tt.maxFrame})
					defer conn.Close()
					defer far.Close()
					want := bytes.Join(tt.parts, nil)
					var wg sync.WaitGroup
					defer wg.Wait()
					wg.Go(func() {
						n, err := conn.WriteBuffers(tt.parts)
						if int(n) != len(want) || err != nil {
							t.Errorf("WriteBuffers: got %d, %v, want %d", n, err, len(want))
						}
					})
					got := payloads(t, far, client, len(tt.want))
					for i, p := range got {
						if len(p) != tt.want[i] {
							t.Errorf("frame %d: got %d bytes, want %d", i, len(p), tt.want[i])
						}
					}
					wg.Wait()
					if !bytes.Equal(bytes.Join(got, nil), want) {
						t.Error("the frames hold something else")
					}
					if !bytes.Equal(bytes.Join(tt.parts, nil), want) {
						t.Error("WriteBuffers changed its argument")
					}
				})
			}
		}
	}
}

// TestWriteText sends a text, which a peer without OnText refuses; one that
// would take several frames is not sent.
func TestWriteText(t *testing.T) {
	a, b := net.Pipe()
	got := make(chan string, 1)
	client := wsconn.Client(a, &wsconn.Config{MaxFrame: 10})
	server := wsconn.Server(b, &wsconn.Config{OnText: func(text []byte) { got <- string(text) }})
	go func() { _, _ = io.Copy(io.Discard, server) }()
	if err := client.WriteText([]byte("hello\u00e9")); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if text := <-got; text != "hello\u00e9" {
		t.Errorf("got %q, want hello\u00e9", text)
	}
	if err := client.WriteText(make([]byte, 11)); err == nil {
		t.Error("more than MaxFrame: got nil, want an error")
	}
	_ = client.Close()
	_ = server.Close()
}

// TestDeadlineInsideAFrame interrupts a Write by a deadline that is set while
// it is blocked, or was set before, in the middle of a frame. A later Write
// goes on behind what was counted as written, and nothing is lost or doubled.
func TestDeadlineInsideAFrame(t *testing.T) {
	for _, kind := range testnet.Kinds {
		for _, client := range []bool{false, true} {
			for _, before := range []bool{true, false} {
				if kind == "tls" && !before {
					continue // lost, as SetWriteDeadline says
				}
				t.Run(fmt.Sprintf("%s/client=%v/before=%v", kind, client, before), func(t *testing.T) {
					a, b, err := testnet.Pair(kind)
					if err != nil {
						t.Fatal(err)
					}
					w, r := wsconn.Server(a, nil), wsconn.Client(b, nil)
					if client {
						w, r = wsconn.Client(a, nil), wsconn.Server(b, nil)
					}
					defer r.Close()
					data := make([]byte, 16<<20) // more than sockets hold
					for i := range data {
						data[i] = byte(i * 7 >> 3)
					}
					soon := time.Now().Add(20 * time.Millisecond)
					if before {
						_ = w.SetWriteDeadline(soon)
					} else {
						time.AfterFunc(20*time.Millisecond, func() { _ = w.SetWriteDeadline(time.Unix(1, 0)) })
					}
					n, err := w.Write(data)
					var timeout net.Error
					if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() || n >= len(data) {
						t.Fatalf("got %d, %v, want os.ErrDeadlineExceeded and less than %d", n, err, len(data))
					}
					_ = w.SetWriteDeadline(time.Time{})
					go func() {
						_, _ = w.Write(data[n:])
						_ = w.Close()
					}()
					got, err := io.ReadAll(r)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("got %d bytes, %v, want %d of the same", len(got), err, len(data))
					}
				})
			}
		}
	}
}
