//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package sock

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// few is for how many bytes a call, which never waits (MSG_DONTWAIT), is over
// sooner than the scheduler is told of it. More are left to package net.
const few = 4 << 10

// sock is a TCP connection.
type sock struct {
	conn *net.TCPConn
	raw  syscall.RawConn

	in, out    transfer
	recv, send func(fd uintptr) (done bool) // methods, kept to save their allocation
}

// transfer is one Read or Write.
type transfer struct {
	p   []byte
	n   int // how much of it is done
	err syscall.Errno
}

func newSock(c *net.TCPConn) io.ReadWriter {
	raw, err := c.SyscallConn()
	if err != nil {
		return c // it was closed, and says so itself
	}
	s := &sock{conn: c, raw: raw}
	s.recv, s.send = s.in.recv, s.out.send
	return s
}

// Read implements io.Reader.
func (s *sock) Read(p []byte) (int, error) {
	if len(p) == 0 || len(p) > few {
		return s.conn.Read(p)
	}
	s.in = transfer{p: p}
	err := s.raw.Read(s.recv)
	s.in.p = nil
	if s.in.n == 0 {
		return 0, s.readError(err)
	}
	return s.in.n, nil
}

// readError returns why nothing was read; err is of the wait.
func (s *sock) readError(err error) error {
	if err == nil && s.in.err == 0 {
		return io.EOF
	}
	return s.opError(false, err)
}

// Write implements io.Writer.
func (s *sock) Write(p []byte) (int, error) {
	if len(p) > few {
		return s.conn.Write(p)
	}
	s.out = transfer{p: p}
	err := s.raw.Write(s.send)
	s.out.p = nil
	if err != nil || s.out.err != 0 {
		err = s.opError(true, err)
	}
	return s.out.n, err
}

// recv reads once. It reports false if there is nothing to read yet.
func (t *transfer) recv(fd uintptr) (done bool) {
	return t.call(syscall.SYS_RECVFROM, fd, syscall.MSG_DONTWAIT)
}

// send writes all. It reports false if the socket does not take it yet.
func (t *transfer) send(fd uintptr) (done bool) {
	for t.n < len(t.p) {
		if !t.call(syscall.SYS_SENDTO, fd, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL) {
			return false
		}
		if t.err != 0 {
			break
		}
	}
	return true
}

// call makes the system call for what is left of p. It reports false if that
// would have to wait.
func (t *transfer) call(trap, fd, flags uintptr) (done bool) {
	for {
		p := t.p[t.n:]
		var n uintptr
		n, _, t.err = syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
		switch t.err {
		case 0:
			t.n += int(n)
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			t.err = 0
			return false
		default:
			return true
		}
	}
}

// opError returns the error of a Write or a Read as package net does: err is of
// the wait, if that failed.
func (s *sock) opError(write bool, err error) error {
	op, call, errno := "read", "recvfrom", s.in.err
	if write {
		op, call, errno = "write", "sendto", s.out.err
	}
	var e *net.OpError
	switch {
	case err == nil:
		err = os.NewSyscallError(call, errno)
	case errors.As(err, &e):
		err = e.Err
	}
	local := s.conn.LocalAddr()
	return &net.OpError{Op: op, Net: local.Network(), Source: local, Addr: s.conn.RemoteAddr(), Err: err}
}
