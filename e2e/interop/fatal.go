package interop

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/grpclog"
)

// fatalError is what a Fatal call of grpclog panics with once CatchFatal ran.
type fatalError string

// caught says that CatchFatal ran. It shadows grpclog's logger, which is a
// global that cannot be asked.
var caught atomic.Bool

// CatchFatal replaces grpclog's logger by one that writes errors to stderr and
// whose Fatal calls panic in the goroutine that made them. The interop cases
// report each failure by such a call, which would otherwise end the process
// with every other test in it; Case.Run recovers the panic. Call it in
// TestMain: grpclog asks that it happens before any other use of gRPC.
func CatchFatal() {
	grpclog.SetLoggerV2(catcher{grpclog.NewLoggerV2(io.Discard, io.Discard, os.Stderr)})
	caught.Store(true)
}

// catcher is a logger that panics where another would exit.
type catcher struct{ grpclog.LoggerV2 }

func (catcher) Fatal(args ...any)                 { panic(fatalError(fmt.Sprint(args...))) }
func (catcher) Fatalln(args ...any)               { panic(fatalError(fmt.Sprintln(args...))) }
func (catcher) Fatalf(format string, args ...any) { panic(fatalError(fmt.Sprintf(format, args...))) }

// recovered turns the value of a panic into an error: a Fatal call into its
// message, anything else (some cases call Error on a nil error) into the value
// and the stack.
func recovered(value any) error {
	if msg, ok := value.(fatalError); ok {
		return fmt.Errorf("interop: %s", clip(strings.TrimSpace(string(msg))))
	}
	return fmt.Errorf("interop: panic: %v\n%s", value, debug.Stack())
}

// clip shortens a message to its two ends: some cases put whole payloads in the
// middle.
func clip(msg string) string {
	const end = 300 // bytes
	if len(msg) <= 2*end {
		return msg
	}
	return msg[:end] + " ... " + msg[len(msg)-end:]
}
