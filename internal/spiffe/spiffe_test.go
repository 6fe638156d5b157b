package spiffe

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
	"testing"
)

// TestID goes through certificates with and without an ID.
func TestID(t *testing.T) {
	for _, tt := range []struct {
		uris []string
		want bool
	}{
		{nil, false},
		{[]string{"spiffe://example.org/server"}, true},
		{[]string{"spiffe://example.org"}, false},
		{[]string{"spiffe:///server"}, false},
		{[]string{"spiffe:server"}, false},
		{[]string{"spiffe://user@example.org/server"}, false},
		{[]string{"https://example.org/server"}, false},
		{[]string{"spiffe://example.org/a", "spiffe://example.org/b"}, false},
		{[]string{"spiffe://example.org/" + strings.Repeat("a", maxID)}, false},
		{[]string{"spiffe://" + strings.Repeat("a", maxTrustDomain+1) + "/server"}, false},
	} {
		leaf := &x509.Certificate{}
		for _, s := range tt.uris {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			leaf.URIs = append(leaf.URIs, u)
		}
		id := ID(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}})
		if got := id != nil; got != tt.want {
			t.Errorf("%.60q: got %v, want an ID: %v", tt.uris, id, tt.want)
		}
	}
	if ID(nil) != nil || ID(&tls.ConnectionState{}) != nil {
		t.Error("no certificate: got an ID")
	}
}
