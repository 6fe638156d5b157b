package wsconn_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"culvert/wsconn"
)

// pings reads frames from far, answers PINGs if told to, and counts them until
// far ends.
func pings(far net.Conn, answer bool) (count chan int) {
	count = make(chan int, 1)
	go func() {
		n := 0
		for {
			f, err := readFrame(far)
			if err != nil {
				count <- n
				return
			}
			if f.Header.OpCode == ws.OpPing {
				n++
				if answer {
					_, _ = far.Write(encode(true, ws.NewPongFrame(f.Payload)))
				}
			}
		}
	}()
	return count
}

// TestHeartbeatAnswered keeps an idle connection whose peer answers PINGs: one
// each 20 s.
func TestHeartbeatAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, far := rawPair(false, nil)
		count := pings(far, true)
		_ = conn.SetReadDeadline(time.Now().Add(time.Hour))
		_, err := conn.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want the deadline after an hour", err)
		}
		_ = conn.Close()
		_ = far.Close()
		if got := <-count; got < 178 || got > 180 {
			t.Errorf("got %d PINGs in an hour, want about 180", got)
		}
	})
}

// TestHeartbeatUnneeded sends no PING while data comes, nobody reads, or the
// Config says so.
func TestHeartbeatUnneeded(t *testing.T) {
	for name, cfg := range map[string]*wsconn.Config{"data": nil, "nobody reads": nil, "off": {PingInterval: -1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, far := rawPair(false, cfg)
				count := pings(far, false)
				hour := time.Now().Add(time.Hour)
				_ = conn.SetReadDeadline(hour)
				var sender sync.WaitGroup
				switch name {
				case "data":
					sender.Go(func() {
						for {
							<-time.After(10 * time.Second)
							if _, err := far.Write(encode(true, ws.NewBinaryFrame([]byte("x")))); err != nil {
								return
							}
						}
					})
				case "nobody reads":
					<-time.After(time.Hour - time.Second)
				}
				var err error
				for b := make([]byte, 10); err == nil; {
					_, err = conn.Read(b)
				}
				if !time.Now().Equal(hour) {
					t.Errorf("got %v at %v, want the deadline at %v", err, time.Now(), hour)
				}
				_ = conn.Close()
				_ = far.Close()
				sender.Wait()
				if got := <-count; got != 0 {
					t.Errorf("got %d PINGs, want none", got)
				}
			})
		})
	}
}

// TestHeartbeatPeerIsGone has a peer that neither sends nor reads, so that a
// Write is blocked as well: both calls end after the silence, and so does
// everything behind them.
func TestHeartbeatPeerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, far := rawPair(true, &wsconn.Config{PingInterval: time.Second, SilenceTimeout: 3 * time.Second})
		defer far.Close()
		start := time.Now()
		wrote := make(chan error, 1)
		go func() { _, err := conn.Write([]byte("nobody reads this")); wrote <- err }()
		_, err := conn.Read(make([]byte, 1))
		if !errors.Is(err, io.ErrUnexpectedEOF) || time.Since(start) != 3*time.Second {
			t.Errorf("Read: got %v after %v, want io.ErrUnexpectedEOF after 3 s", err, time.Since(start))
		}
		if err := <-wrote; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Write: got %v, want io.ErrUnexpectedEOF", err)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the next Write: got %v, want io.ErrUnexpectedEOF", err)
		}
		_ = conn.Close()
	})
}
