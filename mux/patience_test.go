package mux_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"culvert/mux"
)

// TestNobodyReads has a session on which a stream was read for long, and is not
// any more. Who waits for what the peer has to say does not notice that, and a
// stream that the peer opens is noticed within a second.
func TestNobodyReads(t *testing.T) {
	const soon, later = 10 * time.Millisecond, time.Second
	var opened chan net.Conn
	waits := map[string]struct {
		within time.Duration
		wait   func(client, server *mux.Session, st, peer net.Conn) error
	}{
		"Ping": {soon, func(client, _ *mux.Session, _, peer net.Conn) error {
			go io.Copy(io.Discard, peer)
			_, err := client.Ping(context.Background())
			return err
		}},
		"Write": {soon, func(_, _ *mux.Session, st, peer net.Conn) error {
			go io.Copy(io.Discard, peer)
			_, err := st.Write(make([]byte, 300<<10)) // more than the first window
			return err
		}},
		"Accept": {soon, func(client, server *mux.Session, _, _ net.Conn) error {
			_, err := server.Open(context.Background())
			if err == nil {
				_, err = client.Accept()
			}
			return err
		}},
		"Handle": {later, func(client, server *mux.Session, _, _ net.Conn) error {
			_, err := client.Open(context.Background())
			if err == nil {
				<-opened
			}
			return err
		}},
	}
	for name, w := range waits {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened = make(chan net.Conn, 2)
				c, s := net.Pipe()
				client, err := mux.Client(c, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				server, err := mux.Server(s, &mux.Config{Handle: func(_ *mux.Session, st net.Conn) { opened <- st }})
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				st, err := client.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				peer := <-opened
				readEachOther(t, st, peer)
				start := time.Now()
				if err := w.wait(client, server, st, peer); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > w.within {
					t.Errorf("took %v, want %v at most", took, w.within)
				}
			})
		})
	}
}

// readEachOther exchanges a message now and then, for a minute. A Read of each
// end is always waiting, but none is when it returns.
func readEachOther(t *testing.T, a, b net.Conn) {
	t.Helper()
	const rounds = 600
	read := make(chan struct{})
	for _, c := range []net.Conn{a, b} {
		go func() {
			for buf, n := make([]byte, 16), 0; n < rounds; n++ {
				if _, err := c.Read(buf); err != nil {
					t.Error(err)
				}
			}
			read <- struct{}{}
		}()
	}
	for range rounds {
		<-time.After(100 * time.Millisecond)
		for _, c := range []net.Conn{a, b} {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
	}
	<-read
	<-read
}
