package wsconn_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"
)

// TestCloseInsideAFrame has Close meet a Write that a deadline has just
// interrupted inside a frame: the Close frame never lands in the payload.
func TestCloseInsideAFrame(t *testing.T) {
	for range 3000 {
		conn, far := rawPair(false, nil)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = conn.Write(bytes.Repeat([]byte("a"), 100)) })
		if _, err := io.ReadFull(far, make([]byte, 20)); err != nil { // the header and more
			t.Fatal(err)
		}
		wg.Go(func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
		wg.Go(func() { _ = conn.Close() })
		rest, err := io.ReadAll(far)
		if n := bytes.Count(rest, []byte("a")); n != len(rest) && n != 82 || err != nil {
			t.Fatalf("got %q, %v inside the payload", rest, err)
		}
		wg.Wait()
		_ = far.Close()
	}
}
