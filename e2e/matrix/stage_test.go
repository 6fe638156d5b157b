package matrix_test

import (
	"net"
	"testing"

	"culvert/e2e/cert"
	"culvert/e2e/internal/rpc"
	"culvert/e2e/internal/squid"
	"culvert/internal/echo"
	"culvert/listener"
)

// stage is what every row has: a server, in cleartext and with TLS.
type stage struct {
	clear, secure string     // host:port
	origin        *cert.Pair // of secure
	front         *cert.Pair // of what stands in front
}

// newStage starts the servers of a row.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{origin: cert.New(t, squid.Host), front: cert.New(t)}
	s.clear = rpc.Serve(t, nil, &echo.Server{}).Addr().String()
	s.secure = rpc.Serve(t, &listener.Config{TLS: s.origin.Server.Clone()}, &echo.Server{}).Addr().String()
	return s
}

// portOf returns the port of a host:port.
func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
