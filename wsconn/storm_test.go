package wsconn_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// TestPongInsideAWrite has a Write of many frames let the PONG through that the
// peer asks for meanwhile.
func TestPongInsideAWrite(t *testing.T) {
	for _, client := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			conn, far := rawPair(client, &wsconn.Config{MaxFrame: 10})
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = conn.Write(make([]byte, 100)) })
			wg.Go(func() { _, _ = conn.Read(make([]byte, 1)) })
			synctest.Wait()
			if _, err := far.Write(encode(!client, ws.NewPingFrame([]byte("?")))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			var ops []ws.OpCode
			for range 11 {
				f, err := readFrame(far)
				if err != nil {
					t.Fatal(err)
				}
				ops = append(ops, f.Header.OpCode)
			}
			if ops[1] != ws.OpPong {
				t.Errorf("got frames %v, want the PONG second", ops)
			}
			_ = far.Close()
			_ = conn.Close()
			wg.Wait()
		})
	}
}

// TestNegativeMaxFrame means the default.
func TestNegativeMaxFrame(t *testing.T) {
	end := &endless{}
	conn := wsconn.Client(end, &wsconn.Config{MaxFrame: -1, PingInterval: -1})
	if n, err := conn.Write(make([]byte, 300_000)); n != 300_000 || err != nil {
		t.Errorf("got %d, %v, want 300000", n, err)
	}
	_ = conn.Close()
}

// TestDeadlineStorm has deadlines come and go at any moment while several
// write, and PINGs are answered meanwhile: no frame is broken, no Write sends
// something else than it says, and at last all is as it was.
func TestDeadlineStorm(t *testing.T) {
	for _, tt := range []struct {
		kind string
		size int // of a record
	}{{"pipe", 300}, {"tcp", 300}, {"tcp", 6000}} {
		t.Run(fmt.Sprint(tt.kind, tt.size), func(t *testing.T) {
			a, b, err := testnet.Pair(tt.kind)
			if err != nil {
				t.Fatal(err)
			}
			w := wsconn.Server(a, &wsconn.Config{ControlBurst: 1 << 30, PingInterval: 100 * time.Microsecond})
			r := wsconn.Client(b, &wsconn.Config{ControlBurst: 1 << 30})
			stop := make(chan struct{})
			var storm, writers, reads sync.WaitGroup
			storm.Go(func() { deadlines(w, stop) })
			pongs := make(chan struct{})
			go func() { defer close(pongs); _, _ = w.Read(make([]byte, 1)) }()
			sent := make([]uint32, 4)
			for i := range sent {
				writers.Go(func() { sent[i] = records(t, w, byte(i), tt.size) })
			}
			got := make([]uint32, len(sent))
			reads.Go(func() { count(t, r, got, tt.size) })
			writers.Wait()
			close(stop)
			storm.Wait()
			_ = w.SetWriteDeadline(time.Time{})
			if _, err := w.Write(record(theEnd, 0, tt.size)); err != nil {
				t.Errorf("the last Write: got %v, want nil", err)
			}
			reads.Wait()
			_ = w.Close()
			<-pongs
			_ = r.Close()
			for i := range sent {
				if got[i] != sent[i] {
					t.Errorf("writer %d: got %d records, want %d", i, got[i], sent[i])
				}
			}
		})
	}
}

const theEnd = 255 // the writer of the last record

// record is the n-th message of a writer.
func record(writer byte, n uint32, size int) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, n), writer)
	return append(b, bytes.Repeat([]byte{writer}, size-len(b))...)
}

// records writes records, and once more those that a deadline stopped.
func records(t *testing.T, w io.Writer, writer byte, size int) (n uint32) {
	for range 3000 {
		switch m, err := w.Write(record(writer, n, size)); {
		case m == size:
			n++
		case m != 0 || !errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("Write: got %d, %v", m, err)
			return n
		}
	}
	return n
}

// count reads records to the end and checks that each writer's come in order.
func count(t *testing.T, r io.Reader, got []uint32, size int) {
	b := make([]byte, size)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Errorf("Read: got %v, want nil", err)
			return
		}
		writer := b[4]
		if writer == theEnd {
			return
		}
		if n := binary.BigEndian.Uint32(b); int(writer) >= len(got) || n != got[writer] || !bytes.Equal(b, record(writer, n, size)) {
			t.Errorf("got record %d of writer %d, want %v", n, writer, got)
			return
		}
		got[writer]++
	}
}

// deadlines sets deadlines, passed, near and none, until stop.
func deadlines(w *wsconn.Conn, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		switch rand.IntN(4) {
		case 0:
			_ = w.SetWriteDeadline(time.Unix(1, 0))
		case 1:
			_ = w.SetWriteDeadline(time.Now().Add(time.Duration(rand.IntN(50_000))))
		default:
			_ = w.SetWriteDeadline(time.Time{})
			_, _ = w.Write(nil)
		}
	}
}
