// Package proc looks at the goroutines of this process, and ends it if it hangs.
package proc

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// Left is how many goroutines more than before there are, if that does not
// settle within 5 s.
func Left(before int) int {
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

// Stacks prints the stacks of all goroutines.
func Stacks(to io.Writer) {
	buf := make([]byte, 1<<20)
	fmt.Fprintf(to, "%s\n", buf[:runtime.Stack(buf, true)])
}

// Within ends the process with status 1 after d, unless the timer is stopped by
// then: what it was about, the stacks and the last words go out before.
func Within(d time.Duration, what string, to io.Writer, last func()) *time.Timer {
	return time.AfterFunc(d, func() {
		fmt.Fprintf(to, "%s takes more than %v\n", what, d)
		Stacks(to)
		last()
		os.Exit(1)
	})
}
