// Command culvert shows and checks gRPC through WebSockets.
//
//	culvert demo         a server, an HTTP/1.1 proxy and a client in one process
//	culvert ping URL     open a tunnel to wss://host/culvert and measure it
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

const usage = `culvert carries gRPC over WebSockets, where HTTP/2 cannot pass.

Usage:

  culvert demo [-timeout 10s]
        Start a gRPC server, a proxy that speaks HTTP/1.1 only, and a client
        on loopback; show that native gRPC fails through the proxy and that
        the tunnel carries everything. Exit status 0 if all of it held.

  culvert ping [-n 5] [-ca file] [-timeout 10s] URL
        Open a tunnel to URL, such as wss://api.example.com/culvert, and print
        round-trip times through it, or which hop refused it and why.

  culvert help
        This text.
`

// errUsage says that the command line was wrong.
type errUsage struct{ text string }

func (e errUsage) Error() string { return e.text }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with what it needs. It returns the exit status: 1 when something
// failed, 2 for a wrong command line.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := dispatch(ctx, args, stdout)
	var wrong errUsage
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "culvert: %v (see culvert help)\n", err)
		return 2
	default:
		fmt.Fprintf(stderr, "culvert: %v\n", err)
		return 1
	}
}

func dispatch(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errUsage{"which command: demo or ping?"}
	}
	switch name := args[0]; name {
	case "demo":
		return demo(ctx, args[1:], stdout)
	case "ping":
		return ping(ctx, args[1:], stdout)
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	default:
		return errUsage{fmt.Sprintf("there is no command %q", name)}
	}
}

// parse parses flags and checks how many arguments follow them.
func parse(fs *flag.FlagSet, args []string, want int) error {
	fs.SetOutput(io.Discard)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage{err.Error()}
	}
	switch n := fs.NArg(); {
	case n > want:
		return errUsage{fmt.Sprintf("%s: what is %q?", fs.Name(), fs.Arg(want))}
	case n < want:
		return errUsage{fs.Name() + ": the URL is missing"}
	}
	return nil
}
