package parity_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"culvert/fallback"
)

// cell is one environment, and what is expected.
type cell struct {
	name  string
	want  want
	parts []part
}

// want is what a cell has to show beyond what grpc-go alone shows.
type want int

const (
	same    want = iota // as grpc-go alone, by the native way
	either              // as grpc-go alone, by whatever way
	passes_             // grpc-go alone fails, since HTTP/2 does not pass
)

// Bounds of the time of a client with a Dialer, beside that of grpc-go alone.
const (
	timesAsLong = 1.5
	andMore     = 300 * time.Millisecond
)

// outcome is what one client came to.
type outcome struct {
	Shown shownJSON
	Took  time.Duration
	Dials int64
	Way   string
}

// shownJSON is shown, for another process.
type shownJSON struct {
	Code                codes.Code
	Message, Said, Meta string
	Details             int
}

var (
	printTable = flag.Bool("print", false, "print the table")
	results    struct {
		sync.Mutex
		rows []string
	}
)

func TestMain(m *testing.M) {
	flag.Parse()
	stop := serveNames()
	know("svc.test", "127.0.0.1")
	know("api.test", "127.0.0.1")
	code := m.Run()
	stop()
	if *printTable {
		_, _ = io.WriteString(os.Stdout, strings.Join(results.rows, "\n")+"\n")
		fmt.Fprintf(os.Stdout, "%d cells\n", len(results.rows))
	}
	os.Exit(code)
}

// child names the client that this process makes, as another process's child.
const child = "CULVERT_PARITY_CHILD"

// TestParity goes through the cells. grpc-go alone comes first.
func TestParity(t *testing.T) {
	if len(cells) < 80 {
		t.Errorf("got %d cells, want 80 at least", len(cells))
	}
	seen := map[string]bool{}
	for _, c := range cells {
		if seen[c.name] {
			t.Errorf("two cells are named %q", c.name)
		}
		seen[c.name] = true
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (c cell) run(t *testing.T) {
	if kind := os.Getenv(child); kind != "" {
		w := newWorld(t, c.parts)
		w.setenv()
		out, _ := json.Marshal(c.measure(t, w, kind))
		fmt.Fprintf(os.Stdout, "OUTCOME %s\n", out)
		return
	}
	plain, culvert := c.client(t, "plain"), c.client(t, "culvert")
	failures := c.compare(plain, culvert)
	for _, f := range failures {
		t.Error(f)
	}
	verdict := "same"
	if len(failures) > 0 {
		verdict = "DIFFERS"
	}
	results.Lock()
	defer results.Unlock()
	results.rows = append(results.rows, fmt.Sprintf("%-50s %-18v %5d ms | %-10s %-18v %5d ms  %s", c.name,
		plain.Shown.Code, plain.Took.Milliseconds(), culvert.Way, culvert.Shown.Code, culvert.Took.Milliseconds(), verdict))
}

// client measures one client: in a process of its own if that is to have another
// environment, since net/http reads it once.
func (c cell) client(t *testing.T, kind string) outcome {
	t.Helper()
	w := newWorld(t, c.parts)
	if w.env == nil {
		return c.measure(t, w, kind)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestParity$/^"+strings.ReplaceAll(c.name, " ", "_")+"$")
	cmd.Env = append(os.Environ(), child+"="+kind)
	out, err := cmd.CombinedOutput()
	_, line, ok := strings.Cut(string(out), "OUTCOME ")
	line, _, _ = strings.Cut(line, "\n")
	var o outcome
	if !ok || json.Unmarshal([]byte(line), &o) != nil {
		t.Fatalf("%s: %v: %s", kind, err, out)
	}
	return o
}

// measure makes one client and its RPCs.
func (c cell) measure(t *testing.T, w *world, kind string) outcome {
	t.Helper()
	opts, way := w.plain(), func() string { return "" }
	if kind == "culvert" {
		var d *fallback.Dialer
		d, opts = w.culvert(fallback.Auto)
		way = func() string { return d.Status(w.target).Way.String() }
	}
	if w.rpc == nil {
		w.rpc = unary("")
	}
	begin := time.Now()
	cc, err := grpc.NewClient(w.target, opts...)
	if err != nil {
		return outcome{Shown: shownJSON{Code: codes.InvalidArgument, Message: err.Error()}}
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if w.again != nil {
		_ = w.rpc(ctx, cc, w.callOpts...)
		w.again(ctx, cc)
		begin = time.Now()
	}
	s := w.rpc(ctx, cc, w.callOpts...)
	if _, port, err := net.SplitHostPort(w.backend); err == nil {
		s.said = strings.ReplaceAll(s.said, ":"+port, ":<port>") // another one for each client
	}
	return outcome{
		Shown: shownJSON{s.code, s.message, s.said, s.meta, s.details},
		Took:  time.Since(begin), Dials: w.dials.Load(), Way: way(),
	}
}

// compare returns what is not as it should be.
func (c cell) compare(plain, culvert outcome) (failures []string) {
	fail := func(format string, args ...any) { failures = append(failures, fmt.Sprintf(format, args...)) }
	p, q := plain.Shown, culvert.Shown
	if c.want == passes_ {
		if p.Code == codes.OK {
			fail("grpc-go alone passes, though HTTP/2 was not to pass")
		}
		if q.Code != codes.OK {
			fail("got %v (%s), want a way", q.Code, q.Message)
		}
		return failures
	}
	if p.Code != q.Code {
		fail("got %v (%s), want %v (%s)", q.Code, q.Message, p.Code, p.Message)
	}
	if p.Details != q.Details || p.Said != q.Said || p.Meta != q.Meta {
		fail("the server saw %q and sent %s and %d details, want %q, %s and %d", q.Said, q.Meta, q.Details, p.Said, p.Meta, p.Details)
	}
	if limit := time.Duration(timesAsLong*float64(plain.Took)) + andMore; p.Code == codes.OK && culvert.Took > limit {
		fail("took %v, want %v at most: grpc-go alone took %v", culvert.Took, limit, plain.Took)
	}
	if c.want == same && p.Code == codes.OK && culvert.Way != "native" {
		fail("went by %s, want native", culvert.Way)
	}
	if limit := 3*plain.Dials + 6; culvert.Dials > limit {
		fail("dialled %d times, want %d at most: grpc-go alone dialled %d times", culvert.Dials, limit, plain.Dials)
	}
	return failures
}
