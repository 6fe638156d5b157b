package wsconn

import (
	"net"
	"syscall"
	"testing"

	"culvert/internal/testnet"
)

// TestBoundUnsent finds the option set on the socket, beneath TLS too.
func TestBoundUnsent(t *testing.T) {
	for _, kind := range []string{"tcp", "tls"} {
		near, far, err := testnet.Pair(kind)
		if err != nil {
			t.Fatal(err)
		}
		c := Client(near, nil)
		socket := near
		for u, ok := near.(interface{ NetConn() net.Conn }); ok; u, ok = socket.(interface{ NetConn() net.Conn }) {
			socket = u.NetConn()
		}
		raw, err := socket.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		_ = raw.Control(func(fd uintptr) {
			got, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat)
		})
		if err != nil || got != notSent {
			t.Errorf("%s: got %d, %v, want %d", kind, got, err, notSent)
		}
		_ = far.Close()
		_ = c.Close()
	}
}
