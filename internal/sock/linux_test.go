//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package sock_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestBlockingMode has somebody put the socket into blocking mode, as os.File.Fd
// did for long: a call that waits there would hold up all goroutines of its
// processor.
func TestBlockingMode(t *testing.T) {
	near, _ := mustPair(t)
	f, err := near.Conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.SetNonblock(int(f.Fd()), false); err != nil {
		t.Fatal(err)
	}
	_ = near.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: got %v, want a deadline", err)
	}
	for err == nil {
		_, err = near.Write(make([]byte, 1000))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: got %v, want a deadline", err)
	}
}
