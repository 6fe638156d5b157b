package wsconn

import (
	"net"
	"syscall"
)

// notSent is how many bytes may wait in a socket that were not sent yet. More
// would be in the way of what small messages of other streams have to say.
const notSent = 256 << 10

const tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT

// boundUnsent sets it, if c is a TCP connection beneath.
func boundUnsent(c net.Conn) {
	for {
		switch t := c.(type) {
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
			continue
		case interface{ Unwrap() net.Conn }:
			if u := t.Unwrap(); u != c {
				c = u
				continue
			}
		case syscall.Conn:
			if raw, err := t.SyscallConn(); err == nil {
				_ = raw.Control(func(fd uintptr) {
					_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, notSent)
				})
			}
		}
		return
	}
}
