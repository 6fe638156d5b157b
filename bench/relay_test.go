package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// TestRelay sends more than the kernel's buffers hold there and back, and looks
// at the way that the time takes.
func TestRelay(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	const delay = 20 * time.Millisecond
	r, err := newRelay(lis.Addr().String(), delay)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	c, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := bytes.Repeat(pattern, 20)
	go func() {
		_, _ = c.Write(sent)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 4*delay || took > 10*delay {
		t.Errorf("the first byte was back after %v, want two round trips of %v", took, 2*delay)
	}
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent[1:]) {
		t.Errorf("got %d bytes and %v, want the %d that were sent", len(got), err, len(sent)-1)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestRelayCloses closes a relay with connections in all states: just made,
// taken by the server, and with bytes that have come.
func TestRelayCloses(t *testing.T) {
	for state := range 3 {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		r, err := newRelay(lis.Addr().String(), 10*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", r.addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		if state > 0 {
			s, err := lis.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := io.ReadFull(s, make([]byte, []int{0, 0, 5}[state])); err != nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("state %d: the connection goes on", state)
		}
		c.Close()
	}
}
