package mux

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// unready is a connection that is not ready to take a Write.
type unready struct {
	net.Conn

	again chan struct{}
}

func (u *unready) WriteReady(int) <-chan struct{} {
	select {
	case <-u.again:
		return nil
	default:
		return u.again
	}
}

// TestNotReady shows that a Write for which the connection beneath has no room
// ends with its stream and with its deadline, and goes on when there is room.
func TestNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		beneath := &unready{Conn: near, again: make(chan struct{})}
		client, err := Client(beneath, nil)
		if err != nil {
			t.Fatal(err)
		}
		server, err := Server(far, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		defer client.Close()
		var streams []net.Conn
		for range 3 {
			st, err := client.Open(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, st)
		}
		ended := make([]chan error, len(streams))
		for i, st := range streams {
			ended[i] = make(chan error, 1)
			go func() {
				_, err := st.Write([]byte("hello"))
				ended[i] <- err
			}()
			synctest.Wait()
		}
		streams[0].Close()
		if err := <-ended[0]; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v after Close, want net.ErrClosed", err)
		}
		streams[1].SetWriteDeadline(time.Now().Add(time.Second))
		if err := <-ended[1]; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v after the deadline, want a timeout", err)
		}
		close(beneath.again)
		if err := <-ended[2]; err != nil {
			t.Errorf("got %v once there was room, want nil", err)
		}
		b := make([]byte, 5)
		for range streams {
			st, err := server.Accept()
			if err != nil {
				t.Fatal(err)
			}
			st.SetReadDeadline(time.Now().Add(time.Second))
			if n, _ := st.Read(b); n == 5 && string(b) == "hello" {
				return
			}
		}
		t.Error("got the bytes of no stream, want those of one")
	})
}
