package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pion/transport/v3/test"

	"culvert/internal/testnet"
	"culvert/mux"
)

// withTimeout returns a context that ends soon.
func withTimeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// pair returns two sessions and a stream between them.
func pair(t *testing.T) (client, server *mux.Session, a, b net.Conn) {
	t.Helper()
	client, server, err := sessions("tcp", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = client.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err = server.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server, a, b
}

// TestCloseUnblocks checks that every call in flight returns the cause.
func TestCloseUnblocks(t *testing.T) {
	defer test.CheckRoutines(t)()
	client, server, a, _ := pair(t)
	cause := errors.New("the cause")
	calls := map[string]func() error{
		"Read":   func() error { _, err := a.Read(make([]byte, 1)); return err },
		"Write":  func() error { _, err := a.Write(make([]byte, 8<<20)); return err },
		"Accept": func() error { _, err := client.Accept(); return err },
	}
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(calls))
	for name, call := range calls {
		go func() { results <- result{name, call()} }()
	}
	if _, err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = client.CloseWithError(cause)
	for range calls {
		if r := <-results; !errors.Is(r.err, cause) {
			t.Errorf("%s: got %v, want the cause", r.name, r.err)
		}
	}
	if _, err := client.Open(t.Context()); !errors.Is(err, cause) {
		t.Errorf("Open: got %v, want the cause", err)
	}
	_ = server.Close()
}

// slowClose is a connection whose Close hangs.
type slowClose struct {
	net.Conn

	release chan struct{}
}

func (c slowClose) Close() error {
	<-c.release
	return c.Conn.Close()
}

// TestReadDuringClose returns from Read although the connection takes its time
// to close.
func TestReadDuringClose(t *testing.T) {
	defer test.CheckRoutines(t)()
	a, b := net.Pipe()
	release := make(chan struct{})
	client, err := mux.Client(slowClose{a, release}, nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := mux.Server(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := client.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Accept(); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, _ = st.Write([]byte("x"))
		_, err := st.Read(make([]byte, 1))
		read <- err
	}()
	closed := make(chan error, 1)
	go func() { closed <- st.Close() }()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: got %v, want net.ErrClosed", err)
	}
	<-closed
	go func() { closed <- client.Close() }()
	<-client.Done()
	close(release)
	<-closed
	_ = server.Close()
}

// TestWriteDuringClose closes streams while they write and others hold them up:
// no data may follow the end of a stream, which would cost the peer the whole
// session.
func TestWriteDuringClose(t *testing.T) {
	client, server, _, _ := pair(t)
	defer server.Close()
	defer client.Close()
	go func() {
		for {
			st, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, st)
				_ = st.Close()
			}()
		}
	}()
	var streams sync.WaitGroup
	for range 8 {
		streams.Go(func() {
			for range 500 {
				st, err := client.Open(t.Context())
				if err != nil {
					t.Errorf("Open: got %v, want nil: %v", err, server.Err())
					return
				}
				var writer sync.WaitGroup
				writer.Go(func() {
					for err == nil {
						_, err = st.Write(make([]byte, 1000))
					}
				})
				runtime.Gosched()
				_ = st.Close()
				writer.Wait()
			}
		})
	}
	streams.Wait()
	if _, err := client.Ping(t.Context()); err != nil {
		t.Errorf("Ping: got %v, want nil: %v", err, server.Err())
	}
}

// TestCut reports that the connection was cut, not a clean end.
func TestCut(t *testing.T) {
	defer test.CheckRoutines(t)()
	c, s, err := testnet.Pair("tcp")
	if err != nil {
		t.Fatal(err)
	}
	client, server, err := sessionsOver(c, s, true)
	if err != nil {
		t.Fatal(err)
	}
	a, err := client.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = s.Close() // no Close frame
	if _, err := a.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read: got %v, want an error that is not EOF", err)
	}
	if err := client.Err(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Err: got %v, want io.ErrUnexpectedEOF", err)
	}
	_ = client.Close()
	_ = server.Close()
}

// TestShutdown waits for streams, and not longer than its context.
func TestShutdown(t *testing.T) {
	t.Run("waits", func(t *testing.T) {
		defer test.CheckRoutines(t)()
		client, server, a, b := pair(t)
		down := make(chan error, 1)
		go func() { down <- server.Shutdown(t.Context()) }()
		go func() { // streams that came before the Shutdown
			for c, err := server.Accept(); err == nil; c, err = server.Accept() {
				_ = c.Close()
			}
		}()
		for { // until the GoAway has come
			c, err := client.Open(t.Context())
			if errors.Is(err, mux.ErrGoAway) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
		echo(t, a, b)
		if err := <-down; err != nil {
			t.Errorf("got %v, want nil", err)
		}
		_ = client.Close()
	})
	t.Run("is cut", func(t *testing.T) {
		defer test.CheckRoutines(t)()
		client, server, _, _ := pair(t)
		if err := server.Shutdown(withTimeout(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		_ = client.Close()
	})
}

// TestWindowWithoutReader needs window updates though this side reads nothing.
func TestWindowWithoutReader(t *testing.T) {
	defer test.CheckRoutines(t)()
	client, server, a, b := pair(t)
	const size = 20 << 20
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, b, size)
		done <- err
	}()
	if n, err := a.Write(make([]byte, size)); n != size || err != nil {
		t.Errorf("Write: got %d, %v, want %d", n, err, size)
	}
	if err := <-done; err != nil {
		t.Errorf("Read: got %v, want nil", err)
	}
	_ = client.Close()
	_ = server.Close()
}
