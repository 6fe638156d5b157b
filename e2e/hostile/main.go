// Command hostile shows what a server does under attack. It starts one in a
// process of its own, keeps honest callers busy with it, native and in tunnels,
// and lets a further process attack it, in one way after the other, at the
// level of bytes. For each attack it reports what the server took beyond quiet
// times, what the honest callers noticed, and how soon all was as before.
//
//	go run ./hostile                     # all attacks, about four minutes
//	go run ./hostile -only 'ping|slow'   # some
//	go run ./hostile -profiles /tmp/p    # with profiles of the server under attack
//
// On a machine with few processors, the attackers' own work, such as the encryption
// of what they send, would hold up server and honest callers, and the server's work
// the honest callers, as if all of them lived in one place. So the attackers run when
// nobody else wants to (SCHED_IDLE), and this program, which has the honest callers,
// whenever it wants to (SCHED_RR, which takes root's rights or CAP_SYS_NICE). The
// attack called control, which burns all processors and leaves the server alone, shows
// what of that is left.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"
)

// role is the environment variable that makes this program a child.
const role = "HOSTILE_ROLE"

// logging is the environment variable that has the server log.
const logging = "HOSTILE_LOG"

// keeping is the environment variable that says for how long the server keeps a
// session without a connection.
const keeping = "HOSTILE_WINDOW"

// The children.
const (
	roleServer   = "server"
	roleAttacker = "attacker"
)

type options struct {
	quiet    time.Duration // for how long it is quiet before each attack
	attack   time.Duration // for how long an attack goes on
	only     *regexp.Regexp
	tries    int
	smoke    bool
	logs     bool
	json     string
	profiles string
	bounds   bounds
}

func main() {
	switch os.Getenv(role) {
	case roleServer:
		os.Exit(childMain(serve(os.Stdin, os.Stdout)))
	case roleAttacker:
		os.Exit(childMain(assail(os.Stdin, os.Stdout)))
	}
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2) // the flag package has said why
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	ok, err := run(ctx, o, os.Stdout, os.Stderr)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// childMain returns the exit status of a child.
func childMain(err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "hostile: %s: %v\n", os.Getenv(role), err)
		return 1
	}
	return 0
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("hostile", flag.ContinueOnError)
	f.DurationVar(&o.quiet, "quiet", 5*time.Second, "measure quiet times for so long before each attack")
	f.DurationVar(&o.attack, "attack", 5*time.Second, "attack for so long")
	only := f.String("only", "", "make the attacks alone whose names match this `regexp`")
	f.IntVar(&o.tries, "tries", 2, "make an attack so often of which only the p99 is bad: others may use the machine")
	f.BoolVar(&o.smoke, "smoke", false, "make small attacks, briefly; a p99 may be 250 ms, a recovery take 5 s")
	f.BoolVar(&o.logs, "log", false, "let the server tell what it thinks of its clients")
	f.StringVar(&o.json, "json", "", "write the results to this `file` too")
	f.StringVar(&o.profiles, "profiles", "", "write the server's profiles under attack to this `directory`")
	f.Int64Var(&o.bounds.Memory, "memory", 64<<20, "`bytes` that an attack may cost beyond quiet times")
	f.Float64Var(&o.bounds.Ratio, "ratio", 3, "how many times the quiet p99 the honest callers' may be")
	f.DurationVar(&o.bounds.Floor, "floor", 0, "a p99 up to this is never too long")
	f.DurationVar(&o.bounds.Recovery, "recovery", 10*time.Second, "how soon all has to be as before")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(f.Output(), "hostile: -only:", err)
		return o, err
	}
	if o.smoke {
		o.quiet, o.attack = 500*time.Millisecond, time.Second
		o.bounds.Recovery = min(o.bounds.Recovery, 5*time.Second)
		o.bounds.Floor = max(o.bounds.Floor, 250*time.Millisecond)
	}
	return o, nil
}
