package mux_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/pion/transport/v3/test"

	"culvert/mux"
)

// frame encodes a yamux header and appends a body.
func frame(version, kind byte, flags uint16, id, length uint32, body ...byte) []byte {
	b := []byte{version, kind}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint32(b, length)
	return append(b, body...)
}

// raw returns our server session and the peer's end of its connection, whose
// output is read and dropped or collected.
func raw(t *testing.T, cfg *mux.Config) (*mux.Session, net.Conn, *bytes.Buffer, chan struct{}) {
	t.Helper()
	a, b := net.Pipe()
	s, err := mux.Server(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&out, a)
	}()
	return s, a, &out, read
}

// TestViolations checks what a peer that breaks the protocol gets: the session
// ends with an error that says what was wrong, and the streams with it.
func TestViolations(t *testing.T) {
	const syn, fin = 1, 4
	tests := []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"version", frame(1, 0, 0, 0, 0), "version is not 0"},
		{"type", frame(0, 9, 0, 0, 0), "unknown frame type"},
		{"parity", frame(0, 1, syn, 2, 0), "stream 2 cannot be opened"},
		{"stream 0", frame(0, 1, syn, 0, 0), "stream 0 cannot be opened"},
		{"opened twice", append(frame(0, 1, syn, 1, 0), frame(0, 1, syn, 1, 0)...), "stream 1 cannot be opened"},
		{"window", append(frame(0, 1, syn, 1, 0), frame(0, 0, 0, 1, 1<<31)...), "more data than the window allows"},
		{"window sum", append(frame(0, 1, syn, 1, 0), frame(0, 1, 0, 1, 1<<32-1)...), "a window of 2^32 or more"},
		{"after the end", append(frame(0, 1, syn|fin, 1, 0), frame(0, 0, 0, 1, 1, 'x')...), "data after the end"},
		{"gave up", frame(0, 3, 0, 0, 1), "gave up the session with code 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer test.CheckRoutines(t)()
			s, peer, _, read := raw(t, nil)
			_, _ = peer.Write(tt.bytes)
			<-s.Done()
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			_ = s.Close()
			<-read
			_ = peer.Close()
		})
	}
}

// TestUnknownStream skips the data of a stream that does not exist.
func TestUnknownStream(t *testing.T) {
	defer test.CheckRoutines(t)()
	s, peer, _, read := raw(t, nil)
	_, _ = peer.Write(append(frame(0, 0, 0, 7, 4, 'd', 'r', 'o', 'p'), frame(0, 0, 1, 1, 2, 'o', 'k')...))
	st, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2)
	if _, err := io.ReadFull(st, got); err != nil || string(got) != "ok" {
		t.Errorf("got %q, %v, want ok", got, err)
	}
	_ = s.Close()
	<-read
	_ = peer.Close()
}

// TestLimits refuses the stream that is one too many, and no other.
func TestLimits(t *testing.T) {
	defer test.CheckRoutines(t)()
	client, server, err := sessions("tcp", false, &mux.Config{MaxStreams: 3})
	if err != nil {
		t.Fatal(err)
	}
	var opened []net.Conn
	for range 4 {
		c, err := client.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, c)
	}
	if _, err := opened[3].Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read of the fourth stream: got %v, want a reset", err)
	}
	for i := range 3 {
		c, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		echo(t, opened[i], c)
	}
	_ = client.Close()
	_ = server.Close()
}

// TestPingFlood answers pings without growing.
func TestPingFlood(t *testing.T) {
	defer test.CheckRoutines(t)()
	s, peer, out, read := raw(t, nil)
	ping := bytes.Repeat(frame(0, 2, 1, 0, 7), 1000)
	for range 100 {
		if _, err := peer.Write(ping); err != nil {
			t.Fatalf("Write: got %v, want nil", err)
		}
	}
	if _, err := s.Ping(withTimeout(t)); err == nil {
		t.Error("Ping: got nil from a peer that does not answer")
	}
	_ = s.Close()
	<-read
	_ = peer.Close()
	if got := out.Len(); got == 0 {
		t.Error("got no answer")
	}
}
