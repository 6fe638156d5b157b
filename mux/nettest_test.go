package mux_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/pion/transport/v3/test"
	"golang.org/x/net/nettest"

	"culvert/internal/testnet"
	"culvert/mux"
	"culvert/wsconn"
)

// TestConn holds the streams that either side opened against Go's own
// conformance test, over every kind of connection beneath, bare and through a
// WebSocket.
func TestConn(t *testing.T) {
	for _, kind := range testnet.Kinds {
		for _, layer := range []string{"bare", "wsconn"} {
			for _, opener := range []string{"client", "server", "first", "first, swapped"} {
				t.Run(kind+"/"+layer+"/"+opener, func(t *testing.T) {
					defer test.CheckRoutines(t)()
					nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
						first := strings.HasPrefix(opener, "first")
						client, server, err := sessions(kind, layer == "wsconn", &mux.Config{FirstStream: first})
						if err != nil {
							return nil, nil, nil, err
						}
						if opener == "server" {
							client, server = server, client
						}
						c1, err = client.Open(t.Context())
						if err != nil {
							return nil, nil, nil, err
						}
						if c2, err = server.Accept(); opener == "first, swapped" {
							c1, c2 = c2, c1
						}
						return c1, c2, func() {
							_ = errors.Join(c1.Close(), c2.Close(), client.Close(), server.Close())
						}, err
					})
				})
			}
		}
	}
}

// sessions returns the two ends of a session over a connection of one kind.
func sessions(kind string, ws bool, cfg *mux.Config) (client, server *mux.Session, err error) {
	c, s, err := testnet.Pair(kind)
	if err != nil {
		return nil, nil, err
	}
	if ws {
		c, s = wsconn.Client(c, nil), wsconn.Server(s, nil)
	}
	return over(c, s, cfg)
}

// sessionsOver is sessions for a connection that is there.
func sessionsOver(c, s net.Conn, ws bool) (client, server *mux.Session, err error) {
	if ws {
		c, s = wsconn.Client(c, nil), wsconn.Server(s, nil)
	}
	return over(c, s, nil)
}

func over(c, s net.Conn, cfg *mux.Config) (client, server *mux.Session, err error) {
	if client, err = mux.Client(c, cfg); err != nil {
		return nil, nil, err
	}
	server, err = mux.Server(s, cfg)
	return client, server, err
}
