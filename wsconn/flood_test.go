package wsconn_test

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// TestFrameRate sends data frames without end that bring next to nothing. They
// are read no faster than SECURITY.md says; frames with payload are.
func TestFrameRate(t *testing.T) {
	whole := func(n int) []ws.Frame { return []ws.Frame{ws.NewBinaryFrame(make([]byte, n))} }
	part := func(op ws.OpCode, fin bool, n int) ws.Frame { return ws.NewFrame(op, fin, make([]byte, n)) }
	for _, tt := range []struct {
		name   string
		first  []ws.Frame
		repeat []ws.Frame
		n      int // how often
		min    time.Duration
		max    time.Duration
	}{
		{"empty messages", nil, whole(0), 100_000, 9800 * time.Millisecond, 10 * time.Second},
		{"empty texts", nil, []ws.Frame{ws.NewTextFrame(nil)}, 100_000, 9800 * time.Millisecond, 15 * time.Second},
		{
			"empty continuations", []ws.Frame{part(ws.OpBinary, false, 100)},
			[]ws.Frame{part(ws.OpContinuation, false, 0)}, 100_000, 9800 * time.Millisecond, 10 * time.Second,
		},
		{
			"empty continuations of a text", []ws.Frame{part(ws.OpText, false, 100)},
			[]ws.Frame{part(ws.OpContinuation, false, 0)}, 100_000, 9800 * time.Millisecond, 10 * time.Second,
		},
		{
			"messages of two empty frames", nil,
			[]ws.Frame{part(ws.OpBinary, false, 0), part(ws.OpContinuation, true, 0)}, 50_000, 9800 * time.Millisecond, 10 * time.Second,
		},
		{"single bytes", nil, whole(1), 3_000_000, 2800 * time.Millisecond, 3 * time.Second},
		{
			"fragments of single bytes", []ws.Frame{part(ws.OpBinary, false, 1)},
			[]ws.Frame{part(ws.OpContinuation, false, 1)}, 3_000_000, 2800 * time.Millisecond, 3 * time.Second,
		},
		{"1,000 empty messages", nil, whole(0), 1000, 0, 0},
		{"100,000 single bytes", nil, whole(1), 100_000, 0, 0},
		{"short messages", nil, whole(12), 1_000_000, 0, 0},
		{
			"messages that end with an empty frame", nil,
			[]ws.Frame{part(ws.OpBinary, false, 100), part(ws.OpContinuation, true, 0)}, 100_000, 0, 0,
		},
	} {
		for role, client := range map[string]bool{"client": true, "server": false} {
			t.Run(tt.name+"/"+role, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					flood := &flood{b: encode(!client, tt.first...), repeat: bytes.Repeat(encode(!client, tt.repeat...), 100), n: tt.n / 100}
					conn := roles[role](flood, &wsconn.Config{PingInterval: -1, OnText: func([]byte) {}})
					start := time.Now()
					_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 32<<10))
					if took := time.Since(start); took < tt.min || took > tt.max {
						t.Errorf("%d took %v, want %v to %v", tt.n, took, tt.min, tt.max)
					}
					_ = conn.Close()
				})
			})
		}
	}
}

// flood is a connection on which the peer sends b and then repeat, n times.
type flood struct {
	endless

	b, repeat []byte
	n         int
}

func (f *flood) Read(p []byte) (int, error) {
	if len(f.b) == 0 && f.n > 0 {
		f.b = f.repeat
		f.n--
	}
	if len(f.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.b)
	f.b = f.b[n:]
	return n, nil
}

// TestCloseEndsTheWait has Close interrupt a Read that waits for its turn.
func TestCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := wsconn.Client(&flood{repeat: encode(false, ws.NewBinaryFrame(nil)), n: 1 << 30}, &wsconn.Config{PingInterval: -1})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = conn.Read(make([]byte, 1<<10))
		}()
		synctest.Wait()
		start := time.Now()
		_ = conn.Close()
		<-ended
		if took := time.Since(start); took != 0 {
			t.Errorf("Read ended %v after Close, want at once", took)
		}
	})
}
