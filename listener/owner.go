package listener

import (
	"crypto/x509"
	"net/http"
	"net/netip"
	"reflect"
)

// owner says whose a tunnel is.
type owner struct {
	principal   any
	certificate *x509.Certificate // of the client, nil if it showed none in TLS
	from        netip.Prefix      // the client's network; zero if its address is unknown
}

// ownerOf returns whose the tunnel is that r asks for.
func (l *Listener) ownerOf(r *http.Request, principal any) owner {
	o := owner{principal: principal}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		o.certificate = r.TLS.PeerCertificates[0]
	}
	if client, ok := l.resolve(r); ok {
		o.from = networkOf(client.Addr())
	}
	return o
}

// group returns with whose other tunnels this one counts when there are too many
// in all: the principal's, or those from the same network if it has no principal
// that compares.
func (o owner) group() any {
	if key := keyOf(o.principal); key != nil {
		return key
	}
	return o.from
}

// keyOf returns by what the principal is known, nil if it does not compare.
func keyOf(principal any) any {
	if principal == nil || !reflect.ValueOf(principal).Comparable() {
		return nil
	}
	return principal
}

// networkOf returns what counts as one client's address: an IPv4 address, or a
// /64 of IPv6.
func networkOf(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits)
	return p
}

// isSame reports whether who resumes a tunnel is who opened it.
func (c *Config) isSame(opened, resumes owner) bool {
	switch {
	case c.SamePrincipal == nil:
		return reflect.DeepEqual(opened.principal, resumes.principal) &&
			isSameCertificate(opened.certificate, resumes.certificate)
	case c.Authorize == nil:
		return c.SamePrincipal(certificateOrNil(opened), certificateOrNil(resumes))
	default:
		return c.SamePrincipal(opened.principal, resumes.principal)
	}
}

// certificateOrNil returns the certificate of o, an untyped nil if it has none.
func certificateOrNil(o owner) any {
	if o.certificate == nil {
		return nil
	}
	return o.certificate
}

// isSameCertificate reports whether a and b are the same, or both nil.
func isSameCertificate(a, b *x509.Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b)
}
