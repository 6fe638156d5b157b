package mux_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"culvert/mux"
)

// TestReset refuses streams: their client reads that they were reset, and they
// count no more, neither for MaxStreams nor for Shutdown.
func TestReset(t *testing.T) {
	cc, sc := net.Pipe()
	client, err := mux.Client(cc, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := mux.Server(sc, &mux.Config{MaxStreams: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for range 10 {
		stream, err := client.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		refused, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(mux.Reset(refused), mux.Reset(refused)); err != nil {
			t.Errorf("got %v, want nil", err)
		}
		if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want that it was reset", err)
		}
		if !mux.WasRefused(stream) || mux.WasRefused(refused) {
			t.Error("WasRefused: got that of the wrong side, want the client's stream alone")
		}
		_ = stream.Close()
	}
	if n := server.NumStreams(); n != 0 {
		t.Errorf("got %d streams left, want none", n)
	}
	other, far := net.Pipe()
	if err := mux.Reset(other); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("another connection is not closed")
	}
}
