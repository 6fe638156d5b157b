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

	"culvert/e2e/chaos/proc"
	"culvert/e2e/chaos/relay"
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
	relay  *relay.Relay
	load   *load
	cutter *relay.Cutter
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
	if s.relay, err = relay.New(addr, o.seed); err != nil {
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
	ok = s.report(took, proc.Left(before))
	return ok && err == nil, err
}

// play runs the load, makes the cuts, and ends the load.
func (s *stage) play(ctx context.Context, conn *grpc.ClientConn) error {
	calls, cancel := context.WithCancel(context.Background())
	defer cancel() // of what hangs
	s.load = &load{book: s.book, gaps: s.gaps, stop: s.stop}
	s.cutter = &relay.Cutter{Relay: s.relay, OnCut: s.gaps.add}
	s.load.start(calls, conn)
	w := watch(s)
	defer w.end()

	err := s.cut(ctx)
	if err == nil {
		relay.Wait(afterwards, ctx.Done())
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

// cut makes all cuts.
func (s *stage) cut(ctx context.Context) error {
	for {
		made := s.cutter.Counts().Made
		if made >= s.cuts {
			return nil
		}
		if err := s.cutter.Next(ctx, s.cuts-made); err != nil {
			return fmt.Errorf("after %d of %d cuts %w", made, s.cuts, err)
		}
	}
}

// bounded reports and ends the program, unless it is stopped within toEnd.
func (s *stage) bounded(what string) *time.Timer {
	return proc.Within(toEnd, "chaos: "+what, s.stderr, func() {
		s.book.settle()
		s.report(time.Since(s.began), 0)
	})
}
