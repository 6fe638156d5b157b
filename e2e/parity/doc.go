// Package parity holds culvert against plain grpc-go, which is the oracle: where
// an RPC passes with grpc-go alone, it passes with a fallback.Dialer, with the same
// code, trailers and authority, and about as soon. Where grpc-go fails since HTTP/2
// does not pass, the Dialer has a way. Each environment is a line in cells_test.go.
// `make parity` prints the table.
package parity
