package main

import (
	"net"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary be the processes that others start.
func TestMain(m *testing.M) {
	if os.Getenv(clientEnds) != "" {
		os.Exit(keepClientEnds(os.Stdin, os.Stdout))
	}
	if os.Getenv(idleServing) != "" {
		os.Exit(serveIdle(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// TestServerEnd measures the server's end alone and both ends: the former is
// a part of the latter.
func TestServerEnd(t *testing.T) {
	pair, err := newSecurity()
	if err != nil {
		t.Fatal(err)
	}
	for _, secure := range []bool{false, true} {
		c := contender{way{baselineName, listenDirect}, secure}
		s, err := c.start(t.Context(), pair, codec{})
		if err != nil {
			t.Fatal(err)
		}
		server, err := (&serverEndLoad{s, 100}).slice(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		both, err := (&idleLoad{s, 100}).slice(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"bytes", "goroutines"} {
			if !(server[i] > 0 && server[i] < both[i]) {
				t.Errorf("%v: %.1f %s at the server's end, %.1f at both", c, server[i], name, both[i])
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestClientEndsFail gives orders that cannot be followed.
func TestClientEndsFail(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := lis.Addr().String()
	lis.Close()
	for in, want := range map[string]string{
		"":                        "EOF",
		`{"Contender": "nobody"}`: "no contender",
		`{"Contender": "direct TLS", "Root": "AAAA"}`:                             "x509",
		`{"Contender": "direct TCP", "Addr": "` + nobody + `", "Connections": 1}`: "refused",
	} {
		var out strings.Builder
		if status := keepClientEnds(strings.NewReader(in), &out); status != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: got status %d, %q; want 1 and something with %q", in, status, &out, want)
		}
	}
}
