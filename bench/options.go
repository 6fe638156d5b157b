package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"time"
)

// defaultPlot is where a full run leaves its plot.
const defaultPlot = "../docs/bench.svg"

// options are the command line.
type options struct {
	rounds     int
	slice      time.Duration
	idle       int
	rows       *regexp.Regexp
	contenders *regexp.Regexp
	lends      bool
	json       bool
	smoke      bool
	check      bool
	scale      bool
	tunnels    int
	plot       string // "" for none
	cpuProfile string
}

// parse reads the command line. Asked for help, it writes that to stdout and
// returns flag.ErrHelp.
func parse(args []string, stdout io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.IntVar(&o.rounds, "rounds", 30, "rounds of each row")
	fs.DurationVar(&o.slice, "slice", 100*time.Millisecond, "how long a contender works in a round")
	fs.IntVar(&o.idle, "idle", 100, "connections of the idle rows")
	rows := fs.String("rows", "", "run only the rows whose names match this `regexp`")
	contenders := fs.String("contenders", "", "run only the contenders whose names match this `regexp`")
	fs.BoolVar(&o.lends, "lend", false, "do not copy messages at both ends, as protobuf does: the transport alone")
	fs.BoolVar(&o.json, "json", false, "print JSON in place of a Markdown table")
	fs.BoolVar(&o.smoke, "smoke", false, "run everything very briefly; the figures mean nothing")
	fs.BoolVar(&o.check, "check", false, "exit with status 1 if culvert's median misses a bound by more than\n"+
		"the noise: what direct gRPC's second contender, which is its equal, is off\n"+
		"in the same run, or half its interquartile range if that is more")
	fs.BoolVar(&o.scale, "scale", false, "in place of the rows, measure calls over more and more streams and sessions,\n"+
		"and a server of idle tunnels")
	fs.IntVar(&o.tunnels, "tunnels", 10_000, "idle tunnels of -scale")
	fs.StringVar(&o.plot, "svg", defaultPlot, "write a plot to this `file`; by default not if anything is left out or -lend is set")
	fs.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile to this `file`")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "usage: bench [flags]")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
	}
	if err != nil {
		return nil, err
	}
	set := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.rows, err = regexp.Compile(*rows); err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	if o.contenders, err = regexp.Compile(*contenders); err != nil {
		return nil, fmt.Errorf("-contenders: %w", err)
	}
	if o.smoke {
		o.shorten(set)
	}
	if !set["svg"] && (o.smoke || o.lends || set["rows"] || set["contenders"]) {
		o.plot = ""
	}
	return o, o.validate(fs.Args())
}

// shorten sets what -smoke stands for where no flag says otherwise.
func (o *options) shorten(set map[string]bool) {
	if !set["rounds"] {
		o.rounds = 1
	}
	if !set["slice"] {
		o.slice = 10 * time.Millisecond
	}
	if !set["idle"] {
		o.idle = 4
	}
	if !set["tunnels"] {
		o.tunnels = 50
	}
}

// validate refuses what cannot be run.
func (o *options) validate(rest []string) error {
	list := contenders(o.contenders)
	has := make(map[string]bool)
	for _, c := range list {
		has[c.String()] = true
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.rounds < 1:
		return fmt.Errorf("-rounds %d: must be at least 1", o.rounds)
	case o.slice < time.Millisecond:
		return fmt.Errorf("-slice %v: must be at least 1ms", o.slice)
	case o.idle < 1:
		return fmt.Errorf("-idle %d: must be at least 1", o.idle)
	case o.tunnels < 1:
		return fmt.Errorf("-tunnels %d: must be at least 1", o.tunnels)
	case o.scale && (o.json || o.cpuProfile != "" || o.rows.String() != ""):
		return errors.New("-scale does not go with -json, -cpuprofile and -rows")
	case len(rows(o.rows, o.idle)) == 0:
		return fmt.Errorf("-rows %v: no row has such a name", o.rows)
	case len(list) == 0:
		return fmt.Errorf("-contenders %v: no contender has such a name", o.contenders)
	case o.check && o.smoke:
		return errors.New("-check and -smoke exclude each other: figures of -smoke mean nothing")
	case o.check && !(has["direct TCP"] && has["culvert TCP"] || has["direct TLS"] && has["culvert TLS"]):
		return errors.New("-check needs direct and culvert among the contenders")
	}
	return nil
}
