package wsconn_test

import (
	"net"
	"testing"

	"github.com/pion/transport/v3/test"
	"golang.org/x/net/nettest"

	"culvert/internal/testnet"
	"culvert/wsconn"
)

// TestConn holds both roles against Go's own conformance test, over every
// kind of connection beneath.
func TestConn(t *testing.T) {
	for _, kind := range testnet.Kinds {
		for _, role := range []string{"client", "server"} {
			t.Run(kind+"/"+role, func(t *testing.T) {
				defer test.CheckRoutines(t)()
				nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
					c, s, err := testnet.Pair(kind)
					if err != nil {
						return nil, nil, nil, err
					}
					c1, c2 = wsconn.Client(c, nil), wsconn.Server(s, nil)
					if role == "server" {
						c1, c2 = c2, c1
					}
					return c1, c2, func() { c1.Close(); c2.Close() }, nil
				})
			})
		}
	}
}
