// Package matrix runs culvert through real proxies, ingresses and middleboxes,
// and through peers that do what some of those do, and holds each against what
// it must come to: which way is taken, that all kinds of RPC work, or the error
// that says what shuts both ways. `make matrix` prints the table.
package matrix
