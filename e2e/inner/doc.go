// Package inner runs tunnels with TLS inside through a real squid that opens the
// outer TLS, and looks for what it must not see in its logs and its memory.
package inner
