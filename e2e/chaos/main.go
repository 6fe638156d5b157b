// Command chaos shows that RPCs live through the loss of their connection. A
// relay between a culvert client and a culvert server cuts the TCP connection
// of the tunnel, 1000 times and in every way it can think of, while streams and
// unary calls are under way. No RPC may fail, and no message may be lost, come
// twice, out of order or changed.
//
//	go run ./chaos -cuts 1000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"google.golang.org/grpc"

	"culvert/fallback"
)

const (
	afterwards = 2 * time.Second  // for how long the load goes on after the last cut
	toEnd      = 30 * time.Second // for how long it may take to end
	tick       = 5 * time.Second
)

type options struct {
	cuts    int
	seed    uint64
	timeout time.Duration
	resume  bool
}

func main() {
	var o options
	flag.IntVar(&o.cuts, "cuts", 1000, "cut so many times")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of all that is random; the scheduler is not")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Minute, "give up after this")
	flag.BoolVar(&o.resume, "resume", true, "without it the cuts are felt: the run has to fail")
	flag.Parse()
	ok, err := run(o, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// stage holds what takes part in a run.
type stage struct {
	options
	stdout, stderr io.Writer

	book   *book
	gaps   *gaps
	relay  *relay
	load   *load
	cutter *cutter
	began  time.Time
	stop   chan struct{}
}

// run returns whether all went well; an error says that it could not end.
func run(o options, stdout, stderr io.Writer) (ok bool, err error) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	s := &stage{
		options: o, stdout: stdout, stderr: stderr,
		book: newBook(o.seed), gaps: &gaps{},
		began: time.Now(), stop: make(chan struct{}),
	}
	addr, end, err := serve(s.book, s.stop)
	if err != nil {
		return false, err
	}
	if s.relay, err = newRelay(addr, o.seed); err != nil {
		end()
		return false, err
	}
	d := &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true, DisableResume: !o.resume}
	observe(d, s.book)
	conn, err := grpc.NewClient(s.relay.Addr(), d.DialOptions()...)
	if err != nil {
		end()
		return false, err
	}
	fmt.Fprintf(stderr, "chaos: %d cuts, seed %d\n", o.cuts, o.seed)
	err = s.play(ctx, conn)
	took := time.Since(s.began)
	limit := s.bounded("closing all")
	defer limit.Stop()
	_ = conn.Close()
	_ = d.Close()
	end()
	s.relay.Close()
	s.book.settle()
	ok = s.report(took, leaked(before))
	return ok && err == nil, err
}

// play runs the load, makes the cuts, and ends the load.
func (s *stage) play(ctx context.Context, conn *grpc.ClientConn) error {
	calls, cancel := context.WithCancel(context.Background())
	defer cancel() // of what hangs
	s.load = &load{book: s.book, gaps: s.gaps, stop: s.stop}
	s.cutter = &cutter{relay: s.relay, gaps: s.gaps}
	s.load.start(calls, conn)
	w := watch(s)
	defer w.end()

	err := s.cutter.cut(ctx, s.cuts)
	if err == nil {
		wait(afterwards, ctx.Done())
	} else {
		w.hung()
		cancel()
	}
	close(s.stop)
	ended := make(chan struct{})
	go func() {
		s.load.wg.Wait()
		close(ended)
	}()
	if err == nil {
		limit := time.NewTimer(toEnd)
		defer limit.Stop()
		select {
		case <-ended:
			return nil
		case <-limit.C:
			err = fmt.Errorf("the load did not end within %v", toEnd)
		case <-ctx.Done():
			err = errors.New("the load did not end in time")
		}
		w.hung()
		cancel()
	}
	defer s.bounded("cancelling the calls").Stop()
	<-ended
	return err
}

// bounded reports and ends the program, unless it is stopped within toEnd.
func (s *stage) bounded(what string) *time.Timer {
	return time.AfterFunc(toEnd, func() {
		fmt.Fprintf(s.stderr, "chaos: %s takes more than %v\n", what, toEnd)
		stacks(s.stderr)
		s.book.settle()
		s.report(time.Since(s.began), 0)
		os.Exit(1)
	})
}

// leaked is how many goroutines are left over, if that does not settle.
func leaked(before int) int {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	n := 0
	for range 100 {
		if n = runtime.NumGoroutine() - before; n <= 0 {
			return 0
		}
		<-t.C
	}
	return n
}
