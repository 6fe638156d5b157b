// Package spiffe finds the SPIFFE ID of a peer in its certificate.
package spiffe

import (
	"crypto/tls"
	"net/url"
)

// Limits of the specification (SPIFFE-ID, Section 2).
const (
	maxID          = 2048
	maxTrustDomain = 255
)

// ID returns the SPIFFE ID of the peer, nil if its certificate has none or is
// none of SPIFFE's: the leaf has one URI, of scheme spiffe, with a trust domain
// and a path (X509-SVID, Section 2). It is what grpc's own credentials put into
// TLSInfo.
func ID(state *tls.ConnectionState) *url.URL {
	if state == nil || len(state.PeerCertificates) == 0 || len(state.PeerCertificates[0].URIs) != 1 {
		return nil
	}
	id := state.PeerCertificates[0].URIs[0]
	switch {
	case id == nil || id.Scheme != "spiffe" || id.Opaque != "":
		return nil
	case id.User != nil && id.User.Username() != "":
		return nil
	case id.Host == "" || id.Path == "" || len(id.Host) > maxTrustDomain || len(id.String()) > maxID:
		return nil
	}
	return id
}
