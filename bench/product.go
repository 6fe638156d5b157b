package main

import (
	"culvert/fallback"
	"culvert/listener"
)

// listenProduct is culvert as its users have it, in the tunnel: a Dialer and
// the Listener's options at both ends.
func listenProduct(s security) (*endpoint, error) { return listenTunnel(s, false) }

// listenUnresumed is culvert with tunnels that end with their WebSocket.
func listenUnresumed(s security) (*endpoint, error) { return listenTunnel(s, true) }

func listenTunnel(s security, unresumed bool) (*endpoint, error) {
	lis, err := listener.Listen("tcp", "127.0.0.1:0", &listener.Config{TLS: s.server, DisableResume: unresumed})
	if err != nil {
		return nil, err
	}
	return &endpoint{lis: lis, options: lis.ServerOptions(), client: func(addr string) client {
		d := &fallback.Dialer{
			Mode: fallback.WebSocket, TLS: s.client, Insecure: s.client == nil, DisableResume: unresumed,
		}
		return client{target: addr, options: d.DialOptions(), close: d.Close}
	}}, nil
}
