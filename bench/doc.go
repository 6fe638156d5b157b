// Command bench measures what culvert costs: gRPC through it, through its
// layers and through other ways of carrying a byte stream over a WebSocket,
// each as a ratio to gRPC without any of them.
//
// Everything runs in one process over loopback. In each row all contenders
// run in turns, in an order shuffled each round, and a ratio is formed within
// a round, so that what slows the machine for a while slows both of its terms.
//
//	go run .                        # all rows: a Markdown table, and ../docs/bench.svg
//	go run . -check                 # exit status 1 when culvert misses a bound by more than the noise
//	go run . -smoke                 # a few seconds, to see that nothing is broken
//	go run . -scale                 # many streams, sessions and idle tunnels
//	go run . -rows ping -contenders 'direct|culvert' -cpuprofile cpu.out
//
// Samples of a profile carry the labels contender and row, so
// "go tool pprof -tagfocus 'culvert TLS' cpu.out" shows one contender alone.
package main
