package inner_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/pion/transport/v3/test"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"culvert/e2e/cert"
	"culvert/e2e/internal/squid"
	"culvert/listener"
)

// Lines with which squid meddles with the agreement on inner TLS.
const (
	hideRequest = "request_header_access Culvert-Inner-TLS deny all\n"
	hideAnswer  = "reply_header_access Culvert-Inner-TLS deny all\n"
	forgeAnswer = "reply_header_add Culvert-Inner-TLS 1 all\n"
)

// refusal is an RPC that must not get through.
type refusal struct {
	name  string
	serve func(*listener.Config)
	dial  func(*tls.Config) *tls.Config // makes the client's inner TLS of the right one
	want  string                        // in the error
}

// TestRefused gets errors that say what is wrong.
func TestRefused(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	other := cert.New(t, squid.Host).Client.RootCAs
	g := openGate(t, "")
	for _, r := range []refusal{
		{"another root", nil, func(c *tls.Config) *tls.Config { c.RootCAs = other; return c }, "inner TLS: tls: failed to verify certificate"},
		{"another name", nil, func(c *tls.Config) *tls.Config { c.ServerName = "other.test"; return c }, "inner TLS: tls: failed to verify certificate: x509: certificate is valid for localhost, origin.test, not other.test"},
		{"no client certificate", nil, func(c *tls.Config) *tls.Config { c.Certificates = nil; return c }, "certificate required"},
		{"not offered", func(c *listener.Config) { c.InnerTLS = nil }, nil, "does not grant TLS inside"},
		{"not asked for", func(c *listener.Config) { c.RequireInnerTLS = true }, func(*tls.Config) *tls.Config { return nil }, "set InnerTLS"},
	} {
		t.Run(r.name, func(t *testing.T) { r.check(t, g) })
	}
}

// TestMeddling has squid meddle with the agreement on inner TLS.
func TestMeddling(t *testing.T) {
	// A server that has granted inner TLS waits that long for a client that
	// has given up.
	quick := func(c *listener.Config) { c.HandshakeTimeout = time.Second }
	for _, row := range []struct{ name, lines, want string }{
		{"hides the request", hideRequest, "does not grant TLS inside"},
		{"hides the answer", hideAnswer, "does not grant TLS inside"},
		{"hides the request and grants it", hideRequest + forgeAnswer, "inner TLS: tls: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Cleanup(test.CheckRoutines(t))
			refusal{serve: quick, want: row.want}.check(t, openGate(t, row.lines))
		})
	}
}

// check makes the RPC.
func (r refusal) check(t *testing.T, g *gate) {
	t.Helper()
	s := g.serve(t, r.serve)
	inside := s.inside()
	if r.dial != nil {
		inside = r.dial(inside)
	}
	c, _ := s.client(t, s.dialer(inside))
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), r.want) {
		t.Errorf("got %v, want Unavailable with %q", err, r.want)
	}
	if len(s.calls) > 0 {
		t.Error("got an RPC at the server")
	}
}
