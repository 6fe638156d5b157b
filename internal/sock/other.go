//go:build !linux || !(amd64 || arm64) || race || msan || asan

package sock

import (
	"io"
	"net"
)

// newSock returns c. The detectors of the runtime have to see what is read and
// written, as package net lets them.
func newSock(c *net.TCPConn) io.ReadWriter { return c }
