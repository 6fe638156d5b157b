package cuts_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

const leakTimeout = 5 * time.Second // until the last goroutine has ended

// TestMain fails when the tests, which partly run at the same time, have left
// goroutines behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left after %v:\n%s\n", leakTimeout, left)
		code = 1
	}
	os.Exit(code)
}

// leaked waits until no goroutine but its own runs our code or gRPC's, and
// returns the stacks of those that do not end.
func leaked() string {
	buf := make([]byte, 4<<20)
	for end := time.Now().Add(leakTimeout); ; {
		var left []string
		for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
			if strings.Contains(stack, "culvert/") || strings.Contains(stack, "google.golang.org/grpc") {
				left = append(left, stack)
			}
		}
		if left == nil {
			return ""
		}
		if time.Now().After(end) {
			return strings.Join(left, "\n\n")
		}
		_ = pause(context.Background(), 20*time.Millisecond)
	}
}

// pause returns after d, or with an error once ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// eventually returns once ok does, and fails the test if that takes too long.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(waitTimeout); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", waitTimeout, what)
		}
		if err := pause(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}
