package mux_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pion/transport/v3/test"

	"culvert/mux"
)

var withFirst = &mux.Config{FirstStream: true}

// firstPair returns two sessions that agreed on the first stream, and the
// server's end of it.
func firstPair(t *testing.T) (client, server *mux.Session, b net.Conn) {
	t.Helper()
	client, server, err := sessions("tcp", false, withFirst)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = server.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server, b
}

// expect reads want from c.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestFirstStream has the server write before the client opens, and counts the
// stream on each side from when it is there. The second stream is like any.
func TestFirstStream(t *testing.T) {
	defer test.CheckRoutines(t)()
	client, server, b := firstPair(t)
	if _, err := b.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Ping(t.Context()); err != nil { // what was written has come
		t.Fatal(err)
	}
	if c, s := client.NumStreams(), server.NumStreams(); c != 0 || s != 1 {
		t.Errorf("got %d and %d streams before Open, want 0 and 1", c, s)
	}
	a, err := client.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := client.NumStreams(); got != 1 {
		t.Errorf("got %d streams after Open, want 1", got)
	}
	expect(t, a, "hello")
	echo(t, a, b)
	if a, err = client.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err = server.Accept(); err != nil {
		t.Fatal(err)
	}
	echo(t, a, b)
	if c, s := client.NumStreams(), server.NumStreams(); c != 0 || s != 0 {
		t.Errorf("got %d and %d streams at the end, want none", c, s)
	}
	_ = client.Close()
	_ = server.Close()
}

// TestFirstStreamSYN takes the SYN of the first stream before its data, behind
// it and not at all, and no second one.
func TestFirstStreamSYN(t *testing.T) {
	defer test.CheckRoutines(t)()
	const syn, rst = 1, 8
	open, hi := frame(0, 1, syn, 1, 5), frame(0, 0, 0, 1, 2, 'h', 'i')
	for _, tt := range []struct{ name, bytes, want, violation string }{
		{"before", string(open) + string(hi), "hi", ""},
		{"behind", string(hi) + string(open), "hi", ""},
		{"with", string(frame(0, 0, syn, 1, 2, 'h', 'i')), "hi", ""},
		{"never", string(hi) + string(hi), "hihi", ""},
		{"after the end", string(frame(0, 1, rst, 1, 0)) + string(open) + string(frame(0, 0, syn, 3, 0)), "", ""},
		{"twice", string(open) + string(hi) + string(open), "hi", "stream 1 cannot be opened"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, peer, _, read := raw(t, withFirst)
			st, err := s.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := peer.Write([]byte(tt.bytes)); err != nil {
				t.Fatal(err)
			}
			expect(t, st, tt.want)
			if tt.violation != "" {
				<-s.Done()
				if err := s.Err(); !strings.Contains(err.Error(), tt.violation) {
					t.Errorf("got %v, want %q", err, tt.violation)
				}
			}
			_ = s.Close()
			<-read
			_ = peer.Close()
		})
	}
}

// TestFirstStreamShutdown never opens the first stream: Shutdown of neither
// side waits for it, and the server's end of it is over, blocked Reads too.
func TestFirstStreamShutdown(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		for _, busy := range []bool{false, true} { // there is another stream
			t.Run(side+map[bool]string{true: ", busy"}[busy], func(t *testing.T) {
				defer test.CheckRoutines(t)()
				client, server, b := firstPair(t)
				var x, y net.Conn
				if busy {
					var err error
					if x, err = server.Open(t.Context()); err != nil {
						t.Fatal(err)
					}
					if y, err = client.Accept(); err != nil {
						t.Fatal(err)
					}
				}
				read := make(chan error, 1)
				go func() { _, err := b.Read(make([]byte, 1)); read <- err }()
				down := make(chan error, 1)
				ends := map[string]*mux.Session{"client": client, "server": server}
				go func() { down <- ends[side].Shutdown(t.Context()) }()
				if err := <-read; err == nil {
					t.Error("Read: got nil, want an error")
				}
				if busy {
					echo(t, x, y)
				}
				if err := <-down; err != nil {
					t.Errorf("Shutdown: got %v, want nil", err)
				}
				_ = b.Close()
				if got := server.NumStreams(); got != 0 {
					t.Errorf("got %d streams, want none", got)
				}
				_ = client.Close()
				_ = server.Close()
			})
		}
	}
}

// TestFirstStreamClosed has the server close the first stream before the
// client opens it: Open returns one that works.
func TestFirstStreamClosed(t *testing.T) {
	defer test.CheckRoutines(t)()
	client, server, b := firstPair(t)
	_, _ = b.Write([]byte("goodbye"))
	_ = b.Close()
	if _, err := server.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := client.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = server.Accept(); err != nil {
		t.Fatal(err)
	}
	echo(t, a, b)
	_ = client.Close()
	_ = server.Close()
}

// TestFirstStreamGoAway checks that Open fails once the server takes no more.
func TestFirstStreamGoAway(t *testing.T) {
	defer test.CheckRoutines(t)()
	client, server, b := firstPair(t)
	hold, err := server.Open(t.Context()) // holds Shutdown
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	down := make(chan error, 1)
	go func() { down <- server.Shutdown(ctx) }()
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("Read: got nil, want an error")
	}
	if _, err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Open(t.Context()); !errors.Is(err, mux.ErrGoAway) {
		t.Errorf("Open: got %v, want ErrGoAway", err)
	}
	cancel()
	<-down
	_ = hold.Close()
	_ = client.Close()
	_ = server.Close()
}

// TestFirstHandled gives the first stream to Handle, which reads it at once.
func TestFirstHandled(t *testing.T) {
	defer test.CheckRoutines(t)()
	for range 200 {
		a, b := net.Pipe()
		go func() { _, _ = a.Write(append(frame(0, 1, 1, 1, 0), frame(0, 0, 0, 1, 2, 'o', 'k')...)) }()
		got := make(chan string, 1)
		s, err := mux.Server(b, &mux.Config{FirstStream: true, Handle: func(_ *mux.Session, c net.Conn) {
			p := make([]byte, 2)
			_, _ = io.ReadFull(c, p)
			got <- string(p)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if p := <-got; p != "ok" {
			t.Errorf("got %q, want ok", p)
		}
		_ = a.Close()
		_ = s.Close()
	}
}
