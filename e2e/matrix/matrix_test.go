package matrix_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"culvert/e2e/internal/rpc"
	"culvert/fallback"
)

// target is what a row dials.
type target struct {
	addr   string
	dialer func() *fallback.Dialer
}

// row is one intermediary in one role.
type row struct {
	name, role     string
	start          func(*testing.T, *stage) target
	native, tunnel bool          // passes, for all four kinds of RPC
	way            fallback.Way  // that Auto takes
	errs           []string      // in the error where no way is taken
	within         time.Duration // of the first RPC, if it is bounded
}

// measured is what a row came to.
type measured struct {
	native, tunnel bool
	way            fallback.Way
	first          time.Duration
	err            error
}

var printTable = flag.Bool("print", false, "print the table")

// results are the rows that ran, by their index.
var results struct {
	sync.Mutex
	rows map[int]measured
}

func TestMain(m *testing.M) {
	flag.Parse()
	results.rows = map[int]measured{}
	status := m.Run()
	if *printTable {
		_, _ = io.WriteString(os.Stdout, table())
	}
	os.Exit(status)
}

// TestMatrix goes through the rows.
func TestMatrix(t *testing.T) {
	for i, r := range rows {
		t.Run(r.name+" "+r.role, func(t *testing.T) {
			to := r.start(t, newStage(t))
			got := measure(t, to)
			results.Lock()
			results.rows[i] = got
			results.Unlock()
			r.check(t, got)
		})
	}
}

// measure makes RPCs in each mode.
func measure(t *testing.T, to target) measured {
	t.Helper()
	var m measured
	for mode, passes := range map[fallback.Mode]*bool{fallback.Native: &m.native, fallback.WebSocket: &m.tunnel} {
		d := to.dialer()
		d.Mode = mode
		*passes = withClient(t, d, to.addr, fourKinds(5*time.Second)) == nil
		_ = d.Close()
	}
	d := to.dialer()
	defer d.Close()
	begin := time.Now()
	m.err = withClient(t, d, to.addr, func(ctx context.Context, c testgrpc.TestServiceClient) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
			m.first = time.Since(begin)
			return err
		}
		m.first = time.Since(begin)
		return fourKinds(10*time.Second)(ctx, c)
	})
	m.way = d.Status(to.addr).Way
	return m
}

// withClient calls f with a client of d.
func withClient(t *testing.T, d *fallback.Dialer, addr string, f func(context.Context, testgrpc.TestServiceClient) error) error {
	t.Helper()
	cc, err := grpc.NewClient(addr, d.DialOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	return f(t.Context(), testgrpc.NewTestServiceClient(cc))
}

// check holds what was measured against r.
func (r row) check(t *testing.T, got measured) {
	t.Helper()
	if got.native != r.native {
		t.Errorf("native gRPC: got %v, want %v", got.native, r.native)
	}
	if got.tunnel != r.tunnel {
		t.Errorf("tunnel: got %v, want %v", got.tunnel, r.tunnel)
	}
	if got.way != r.way {
		t.Errorf("way: got %v, want %v: %v", got.way, r.way, got.err)
	}
	if r.errs == nil && got.err != nil {
		t.Errorf("got %v, want all kinds of RPC to work", got.err)
	}
	for _, want := range r.errs {
		if got.err == nil || !strings.Contains(got.err.Error(), want) {
			t.Errorf("got error %v, want %q in it", got.err, want)
		}
	}
	if r.within != 0 && got.first > r.within {
		t.Errorf("first RPC: got %v, want %v at most", got.first, r.within)
	}
	t.Logf("native %v, tunnel %v, chosen %v, first RPC %v, %v", got.native, got.tunnel, got.way, got.first, got.err)
}

// table renders the results.
func table() string {
	results.Lock()
	defer results.Unlock()
	var b strings.Builder
	b.WriteString("| intermediary | role | native? | tunnel? | chosen | first RPC |\n|---|---|---|---|---|---|\n")
	words := map[bool]string{true: "passes", false: "–"}
	for i, r := range rows {
		m, ok := results.rows[i]
		if !ok {
			continue
		}
		chosen, first := m.way.String(), fmt.Sprintf("%.0f ms", float64(m.first)/float64(time.Millisecond))
		if m.err != nil {
			chosen, first = "error that says why", "–"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.name, r.role, words[m.native], words[m.tunnel], chosen, first)
	}
	return b.String()
}

// fourKinds makes an RPC of each kind.
func fourKinds(limit time.Duration) func(context.Context, testgrpc.TestServiceClient) error {
	return func(ctx context.Context, c testgrpc.TestServiceClient) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return rpc.FourKinds(ctx, c, make([]byte, 10_000))
	}
}
