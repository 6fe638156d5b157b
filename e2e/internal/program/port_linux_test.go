package program_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"culvert/e2e/internal/program"
)

// TestFreeAddr wants a port that refuses connections and that one server after
// the other can have.
func TestFreeAddr(t *testing.T) {
	addr := program.FreeAddr(t)
	for range 2 {
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("got %v while no server listens, want ECONNREFUSED", err)
		}
		l, err := net.Listen("tcp", addr) // with SO_REUSEADDR
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFreeAddrTwice wants no port twice, of so many that chance would not do it.
func TestFreeAddrTwice(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		addr := program.FreeAddr(t)
		if seen[addr] {
			t.Fatalf("got %s twice", addr)
		}
		seen[addr] = true
	}
}
