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
		for _, every := range []time.Duration{0, 20 * time.Millisecond, 3 * time.Millisecond} {
			if kind == "tls" && every == 3*time.Millisecond {
				every = 7 * time.Millisecond // a handshake takes as long as that
			}
			name := kind + " cut every " + every.String()
			for role, swap := range map[string]bool{"client": false, "server": true} {
				t.Run(name+" "+role, func(t *testing.T) {
					nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
						w := newWorld(t, kind, nil, nil)
						stop := func() {}
						if every > 0 {
							stop = w.cutting(every)
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
