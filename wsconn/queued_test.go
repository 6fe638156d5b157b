package wsconn_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// writers has each way to write a few bytes.
var writers = map[string]func(*wsconn.Conn) error{
	"Write": func(c *wsconn.Conn) error { _, err := c.Write([]byte("second")); return err },
	"WriteFrame": func(c *wsconn.Conn) error {
		_, err := c.WriteFrame(make([]byte, wsconn.MaxHeaderSize+6), wsconn.MaxHeaderSize)
		return err
	},
	"WriteBuffers": func(c *wsconn.Conn) error {
		_, err := c.WriteBuffers(net.Buffers{[]byte("sec"), []byte("ond")})
		return err
	},
	"WriteText":      func(c *wsconn.Conn) error { return c.WriteText([]byte("second")) },
	"WriteAfterText": func(c *wsconn.Conn) error { _, err := c.WriteAfterText([]byte("text"), []byte("second")); return err },
}

// TestDeadlineOfQueued sets the write deadline while a short write waits behind
// another frame. The write ends at the deadline, though its turn came before.
func TestDeadlineOfQueued(t *testing.T) {
	for name, write := range writers {
		for _, ahead := range []ws.OpCode{ws.OpBinary, ws.OpPong} {
			for _, client := range []bool{false, true} {
				t.Run(name, func(t *testing.T) { deadlineOfQueued(t, write, ahead, client) })
			}
		}
	}
}

func deadlineOfQueued(t *testing.T, write func(*wsconn.Conn) error, ahead ws.OpCode, client bool) {
	synctest.Test(t, func(t *testing.T) {
		conn, far := rawPair(client, &wsconn.Config{PingInterval: -1})
		var wg sync.WaitGroup
		if ahead == ws.OpPong {
			wg.Go(func() { _, _ = conn.Read(make([]byte, 1)) })
			if _, err := far.Write(encode(!client, ws.NewPingFrame([]byte("?")))); err != nil {
				t.Fatal(err)
			}
		} else {
			wg.Go(func() { _, _ = conn.Write([]byte("first")) })
		}
		synctest.Wait()
		start := time.Now()
		wg.Go(func() {
			err := write(conn)
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Minute {
				t.Errorf("got %v after %v, want a timeout after 1m", err, took)
			}
		})
		synctest.Wait()
		_ = conn.SetWriteDeadline(start.Add(time.Minute))
		if f, err := readFrame(far); err != nil || f.Header.OpCode != ahead {
			t.Fatalf("got %v, %v, want opcode %x", f.Header, err, ahead)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // of synctest: it costs no time
		_ = conn.SetWriteDeadline(time.Time{})
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := conn.Write([]byte("third")); err != nil {
			t.Errorf("got %v after the deadline was removed, want nil", err)
		}
		_ = conn.Close()
		_ = far.Close()
		wg.Wait()
	})
}
