//go:build !linux

package program

import (
	"net"
	"testing"
)

// FreeAddr returns a port of 127.0.0.1 that is free at the moment. Outside Linux
// it is not kept from others until the program takes it.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
