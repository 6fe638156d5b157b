package program

import (
	"net/netip"
	"syscall"
	"testing"
)

// FreeAddr returns a port of 127.0.0.1 that is the test's own until it ends, for
// one program after the other to listen on.
//
// A socket stays bound to the port and never listens, so that who dials is
// refused. With SO_REUSEADDR, which every server sets, a program may bind to
// the port too. The kernel gives it to nobody who asks for any port, be it for a
// listener or an outgoing connection, nor to another FreeAddr: this socket had no
// SO_REUSEADDR when it was bound.
func FreeAddr(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("socket: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("bind to a free port: %v", err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatalf("SO_REUSEADDR: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("getsockname: %v", err)
	}
	bound := name.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port)).String()
}
