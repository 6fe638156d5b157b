package wsconn_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"culvert/wsconn"
)

// TestDialUntrusted refuses a certificate that it does not trust, and closes
// the connection.
func TestDialUntrusted(t *testing.T) {
	addr, _ := echoes(t, true)
	var below net.Conn
	d := &wsconn.Dialer{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var nd net.Dialer
		c, err := nd.DialContext(ctx, network, addr)
		below = c
		return c, err
	}}
	_, err := d.Dial(t.Context(), "wss://api.invalid/")
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "TLS with api.invalid:443") {
		t.Errorf("got %v, want an UnknownAuthorityError that names the server", err)
	}
	if _, err := io.WriteString(below, "x"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection beneath was not closed: Write gives %v", err)
	}
}
