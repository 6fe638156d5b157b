package inner_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"culvert/e2e/internal/rpc"
	"culvert/internal/echo"
)

const (
	glances      = 3  // at the memory, beneath traffic
	rounds       = 10 // of RPCs before each
	trafficLimit = 40 * time.Second
)

// traffic is rounds of RPCs.
type traffic struct {
	stop chan struct{} // closed for the end
	done chan error    // has an element after each round, and is closed after the last
}

// begin makes RPCs with these secrets in messages and metadata.
func begin(t *testing.T, c testgrpc.TestServiceClient, body, md string) *traffic {
	ctx, cancel := context.WithTimeout(t.Context(), trafficLimit)
	t.Cleanup(cancel)
	tr := &traffic{stop: make(chan struct{}), done: make(chan error)}
	go func() {
		defer close(tr.done)
		for i := 0; ; i++ {
			select {
			case tr.done <- round(ctx, c, body, md, i):
			case <-tr.stop:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return tr
}

// round makes RPCs with long messages, and then with metadata that is longer than
// they are, so that it is not overwritten at once in squid's buffers.
func round(ctx context.Context, c testgrpc.TestServiceClient, body, md string, i int) error {
	value := strings.Repeat(md, 64) + strconv.Itoa(i) // another one each time, which HPACK has to send again
	ctx = metadata.AppendToOutgoingContext(ctx, echo.HeaderKey, value, echo.TrailerKey, value)
	for _, copies := range []int{1000, 1} {
		if err := rpc.FourKinds(ctx, c, []byte(strings.Repeat(body, copies))); err != nil {
			return err
		}
	}
	return nil
}

// wait waits for rounds, and leaves the next one running.
func (tr *traffic) wait(t *testing.T) {
	t.Helper()
	for range rounds {
		if err, ok := <-tr.done; err != nil || !ok {
			t.Fatalf("got %v from RPCs of four kinds", err)
		}
	}
}

// end waits for the last round.
func (tr *traffic) end(t *testing.T) {
	t.Helper()
	tr.wait(t)
	close(tr.stop)
	for err := range tr.done {
		if err != nil {
			t.Errorf("got %v from RPCs of four kinds", err)
		}
	}
}
