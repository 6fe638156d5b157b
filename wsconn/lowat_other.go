//go:build !linux

package wsconn

import "net"

// boundUnsent does nothing where the option is not known.
func boundUnsent(net.Conn) {}
