package wsconn_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// TestIdleMemory has connections that were busy hold no more than their
// struct and a few small things: no buffers.
func TestIdleMemory(t *testing.T) {
	const conns, limit = 200, 2 << 10
	if size := unsafe.Sizeof(wsconn.Conn{}); size > 1<<10 {
		t.Errorf("got a struct of %d bytes, want at most 1 KiB", size)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 { // pools give up what they hold in the second
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	ends := make([]*endless, conns)
	list := make([]*wsconn.Conn, conns)
	for i := range ends {
		ends[i] = &endless{}
	}
	before := heap()
	buf := make([]byte, 70_000)
	for i := range list {
		list[i] = wsconn.Client(ends[i], &wsconn.Config{PingInterval: -1, OnText: func([]byte) {}})
		ends[i].in.Write(encode(false, ws.NewBinaryFrame(buf), ws.NewTextFrame(buf[:4000]), ws.NewBinaryFrame(buf[:1])))
		if _, err := io.ReadFull(list[i], buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(list[i], buf[:1]); err != nil {
			t.Fatal(err)
		}
		if _, err := list[i].Write(buf); err != nil {
			t.Fatal(err)
		}
		ends[i].in = bytes.Buffer{}
	}
	if got := (int64(heap()) - int64(before)) / conns; got > limit {
		t.Errorf("got %d bytes a connection, want at most %d", got, limit)
	}
	runtime.KeepAlive(ends)
	for _, c := range list {
		_ = c.Close()
	}
}

// TestNoAllocations has Read and Write of a busy connection allocate nothing.
func TestNoAllocations(t *testing.T) {
	for name, size := range map[string]int{"small": 100, "large": 60_000} {
		t.Run(name, func(t *testing.T) {
			end := &endless{}
			conn := wsconn.Client(end, &wsconn.Config{PingInterval: -1})
			data, frame := make([]byte, size), encode(false, ws.NewBinaryFrame(make([]byte, size)))
			got := testing.AllocsPerRun(200, func() {
				end.in.Write(frame)
				if _, err := io.ReadFull(conn, data); err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Write(data); err != nil {
					t.Fatal(err)
				}
			})
			if got >= 1 {
				t.Errorf("got %v allocations a message each way, want none", got)
			}
			_ = conn.Close()
		})
	}
}

// TestDeclaredLength reads frames that declare much and send nothing: what is
// allocated does not depend on it.
func TestDeclaredLength(t *testing.T) {
	for name, raw := range map[string][]byte{
		"binary": {0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"text":   {0x81, 127, 0, 0, 0, 0xff, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			end := &endless{}
			end.in.Write(raw)
			conn := wsconn.Client(end, &wsconn.Config{PingInterval: -1, OnText: func([]byte) {}})
			if _, err := conn.Read(make([]byte, 100)); err == nil {
				t.Error("got nil, want an error at the end of the stream")
			}
			_ = conn.Close()
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
				t.Errorf("got %d bytes allocated, want at most 64 KiB", got)
			}
		})
	}
}

// endless is a connection that reads from memory and takes whatever is written.
type endless struct {
	net.Conn // nil: what is not below is not called

	in bytes.Buffer
}

func (e *endless) Read(p []byte) (int, error)       { return e.in.Read(p) }
func (e *endless) Write(p []byte) (int, error)      { return len(p), nil }
func (e *endless) Close() error                     { return nil }
func (e *endless) SetReadDeadline(time.Time) error  { return nil }
func (e *endless) SetWriteDeadline(time.Time) error { return nil }
