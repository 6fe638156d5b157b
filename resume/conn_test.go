package resume

import (
	"net"
	"testing"
	"time"

	"github.com/pion/transport/v3/test"
	"golang.org/x/net/nettest"

	"culvert/internal/testnet"
)

// TestConn runs the conformance tests of net.Conn in both roles, over carriers
// that live and over carriers that are cut all the time.
func TestConn(t *testing.T) {
	defer test.CheckRoutines(t)()
	for _, kind := range testnet.Kinds {
		for _, life := range []time.Duration{0, 20 * time.Millisecond, 3 * time.Millisecond} {
			name := kind + " cut after " + life.String()
			for role, swap := range map[string]bool{"client": false, "server": true} {
				t.Run(name+" "+role, func(t *testing.T) {
					nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
						w := newWorld(t, kind, nil, nil)
						stop := func() {}
						if life > 0 {
							stop = w.cutting(life)
						}
						c1, c2 := net.Conn(w.client), net.Conn(w.server)
						if swap {
							c1, c2 = c2, c1
						}
						return c1, c2, func() { stop(); w.end() }, nil
					})
				})
			}
		}
	}
}
