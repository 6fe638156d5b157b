package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
)

func main() {
	if os.Getenv(clientEnds) != "" {
		os.Exit(keepClientEnds(os.Stdin, os.Stdout))
	}
	if os.Getenv(idleServing) != "" {
		os.Exit(serveIdle(os.Stdin, os.Stdout))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with what it needs, and returns the exit status: 1 when
// something failed or a bound was missed, 2 for a wrong command line.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	}
	measure := o.run
	if o.scale {
		measure = o.runScale
	}
	if err := measure(stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// run runs the rows and writes what was asked for. Rows that did not fail are
// written even if others did.
func (o *options) run(stdout, stderr io.Writer) error {
	if err := os.MkdirAll(filepath.Dir(o.plot), 0o755); err != nil {
		return err // now, not after minutes
	}
	pair, err := newSecurity()
	if err != nil {
		return err
	}
	stop, err := startProfile(o.cpuProfile)
	if err != nil {
		return err
	}
	rep := newReport(o)
	r := &runner{
		rounds: o.rounds, slice: o.slice, warmUp: !o.smoke,
		pair: pair, codec: codec{copies: !o.lends}, progress: stderr,
	}
	var errs []error
	for _, row := range rows(o.rows, o.idle) {
		results, err := r.run(context.Background(), row, contenders(o.contenders))
		rep.Results = append(rep.Results, results...)
		errs = append(errs, err)
	}
	errs = append(errs, stop(), o.write(rep, stdout))
	if o.check {
		misses, spared, held := check(rep.Results)
		for _, line := range slices.Concat(spared, misses) {
			fmt.Fprintln(stderr, line)
		}
		if len(misses) > 0 {
			errs = append(errs, fmt.Errorf("%d of %d bounds missed", len(misses), held))
		}
	}
	return errors.Join(errs...)
}

// write writes the table, or JSON, and the plot.
func (o *options) write(rep *report, stdout io.Writer) error {
	text := rep.writeMarkdown
	if o.json {
		text = rep.writeJSON
	}
	if err := text(stdout); err != nil || o.plot == "" {
		return err
	}
	return os.WriteFile(o.plot, rep.svg(), 0o644)
}

// startProfile starts a CPU profile into file, unless that is "", and returns
// what ends it.
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
