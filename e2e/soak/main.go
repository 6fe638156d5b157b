// Command soak shows that nothing grows. Calls of all kinds go natively,
// through tunnels, and back over a tunnel, while relays cut connections in
// every way that the chaos tool knows. Every few seconds all pause, and the
// process is looked at: goroutines, descriptors and the heap must not be more
// at the end than they were after a warm-up, and no call may end in another way
// than it is meant to.
//
//	go run ./soak -for 10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"culvert/e2e/chaos/proc"
)

// toEnd is how long what should end soon may take.
const toEnd = 30 * time.Second

type options struct {
	length time.Duration
	seed   uint64
	leak   string
}

func main() {
	var o options
	flag.DurationVar(&o.length, "for", 10*time.Minute, "for how long")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the cuts")
	flag.StringVar(&o.leak, "leak", "", "leak something on purpose, which has to be found: goroutine, descriptor, heap or objects")
	flag.Parse()
	if err := run(o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// stage holds what takes part in a run.
type stage struct {
	options
	stdout, stderr io.Writer

	world    *world
	load     *load
	quiet    quiet
	leaker   leaker
	profiles profiles
}

// run returns what was wrong.
func run(o options, stdout, stderr io.Writer) error {
	before, err := look()
	if err != nil {
		return err
	}
	s := &stage{options: o, stdout: stdout, stderr: stderr, world: &world{}, load: &load{}, leaker: leaker{what: o.leak}}
	if err := s.world.build(o.seed); err != nil {
		s.world.close()
		return err
	}
	fmt.Fprintf(stderr, "soak: %v, seed %d\n", o.length, o.seed)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, w := range s.world.ways {
		s.load.start(ctx, w)
	}
	s.quiet.began = time.Now()
	err = s.rounds()
	defer s.bounded("closing all").Stop()
	s.load.finish()
	cancel()
	s.world.close()
	if err != nil {
		s.load.faults.show(stdout)
		return err
	}
	return s.verdict(before)
}

// verdict prints the tables.
func (s *stage) verdict(before sample) error {
	s.report()
	grew, err := judge(s.stdout, s.quiet.samples)
	if err != nil {
		return err
	}
	s.load.faults.show(s.stdout)
	var wrong []string
	if n := s.load.faults.count(); n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d faults", n))
	}
	if len(grew) > 0 {
		wrong = append(wrong, "growth of "+strings.Join(grew, ", "))
		s.profiles.explain(s.stdout)
	} else {
		s.profiles.drop()
	}
	if n := proc.Left(before.goroutines); n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d goroutines left", n))
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// bounded ends the program, unless it is stopped in time.
func (s *stage) bounded(what string) *time.Timer {
	return proc.Within(2*toEnd, "soak: "+what, s.stderr, func() { s.load.faults.show(s.stderr) })
}
