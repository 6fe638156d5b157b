// Package differential holds wsconn against github.com/coder/websocket: the
// same bytes go to both, and what comes of them has to be the same, but for the
// differences in the table of allowed_test.go. It is a module of its own, so
// that the product does not depend on a competitor.
//
//	go test -run '^$' -fuzz '^FuzzFrames$' -fuzztime 10m .
package differential
