package mux_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"github.com/pion/transport/v3/test"

	"culvert/internal/testnet"
	"culvert/mux"
)

// theirs is a hashicorp/yamux session in the role that ours does not have.
func theirs(t *testing.T, c net.Conn, client bool) *yamux.Session {
	t.Helper()
	cfg := yamux.DefaultConfig()
	cfg.EnableKeepAlive = false
	cfg.LogOutput = io.Discard
	cfg.StreamCloseTimeout = time.Second
	start := yamux.Server
	if client {
		start = yamux.Client
	}
	y, err := start(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// withYamux runs f with our session in each role and hashicorp's at the other
// end.
func withYamux(t *testing.T, f func(t *testing.T, ours *mux.Session, y *yamux.Session)) {
	for _, client := range []bool{true, false} {
		name := map[bool]string{true: "client", false: "server"}[client]
		t.Run(name, func(t *testing.T) {
			defer test.CheckRoutines(t)()
			a, b, err := testnet.Pair("tcp")
			if err != nil {
				t.Fatal(err)
			}
			start := mux.Server
			if client {
				start = mux.Client
			}
			ours, err := start(a, nil)
			if err != nil {
				t.Fatal(err)
			}
			y := theirs(t, b, !client)
			f(t, ours, y)
			_ = y.Close()
			_ = ours.Close()
		})
	}
}

// TestYamuxEcho sends more than a window each way, on streams that either side
// opened, and expects the end of the stream after the data.
func TestYamuxEcho(t *testing.T) {
	withYamux(t, func(t *testing.T, ours *mux.Session, y *yamux.Session) {
		var wg sync.WaitGroup
		for range 8 {
			out, err := ours.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			in, err := y.Accept()
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { echo(t, out, in) })
			theirOut, err := y.Open()
			if err != nil {
				t.Fatal(err)
			}
			ourIn, err := ours.Accept()
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { echo(t, theirOut, ourIn) })
		}
		wg.Wait()
	})
}

// echo sends data from a to b and back again, then closes a.
func echo(t *testing.T, a, b net.Conn) {
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := io.Copy(b, b); err != nil {
			t.Errorf("echo: got %v, want nil", err)
		}
		_ = b.Close()
	})
	wg.Go(func() {
		if _, err := a.Write(data); err != nil {
			t.Errorf("Write: got %v, want nil", err)
		}
	})
	got := make([]byte, len(data))
	if _, err := io.ReadFull(a, got); err != nil || !bytes.Equal(got, data) {
		t.Errorf("echo: got %v and equal data %v, want all of it", err, bytes.Equal(got, data))
	}
	_ = a.Close()
	wg.Wait()
}

// TestYamuxPing pings in both directions.
func TestYamuxPing(t *testing.T) {
	withYamux(t, func(t *testing.T, ours *mux.Session, y *yamux.Session) {
		if rtt, err := ours.Ping(t.Context()); err != nil || rtt <= 0 {
			t.Errorf("our ping: got %v, %v", rtt, err)
		}
		if rtt, err := y.Ping(); err != nil || rtt <= 0 {
			t.Errorf("their ping: got %v, %v", rtt, err)
		}
	})
}

// TestYamuxGoAway checks that each side heeds the other's GoAway, and that a
// stream that was open goes on.
func TestYamuxGoAway(t *testing.T) {
	withYamux(t, func(t *testing.T, ours *mux.Session, y *yamux.Session) {
		a, err := ours.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := y.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := y.GoAway(); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Ping(t.Context()); err != nil { // the GoAway came before the answer
			t.Fatal(err)
		}
		if _, err := ours.Open(t.Context()); !errors.Is(err, mux.ErrGoAway) {
			t.Errorf("Open: got %v, want ErrGoAway", err)
		}
		echo(t, a, b)
		down := make(chan error, 1)
		go func() { down <- ours.Shutdown(t.Context()) }()
		if err := <-down; err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		<-y.CloseChan()
		if _, err := y.Open(); err == nil {
			t.Error("their Open after our Shutdown: got nil, want an error")
		}
	})
}
