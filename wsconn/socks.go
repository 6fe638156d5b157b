package wsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"

	"golang.org/x/net/proxy"
)

// socks opens a byte stream to addr through a SOCKS5 proxy (RFC 1928), which
// gets the user and password of its URL if it asks for them (RFC 1929).
func (d *Dialer) socks(ctx context.Context, u *url.URL, addr string) (net.Conn, error) {
	at := hostPort(u)
	c, err := d.dial(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("wsconn: proxy %s: %w", at, err)
	}
	var auth *proxy.Auth
	if name := u.User.Username(); name != "" {
		password, _ := u.User.Password()
		auth = &proxy.Auth{User: name, Password: password}
	}
	err = within(ctx, c, "proxy "+at, func() error {
		s, err := proxy.SOCKS5("tcp", at, auth, opened{c})
		if err == nil {
			_, err = s.Dial("tcp", addr)
		}
		if err != nil {
			return fmt.Errorf("wsconn: %s through SOCKS5 proxy %s: %w", addr, at, socksCause(err))
		}
		return nil
	})
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// socksCause takes from err, of the SOCKS client, the addresses that the error
// around it names already.
func socksCause(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "socks connect" {
		err = op.Err
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the connection was closed without an answer: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// opened dials nothing: it returns a connection that exists.
type opened struct{ c net.Conn }

// Dial implements proxy.Dialer.
func (o opened) Dial(string, string) (net.Conn, error) { return o.c, nil }
