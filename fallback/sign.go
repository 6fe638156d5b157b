package fallback

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// class says what a failure of native gRPC means for the choice of the way.
type class int

const (
	ambiguous class = iota // it may pass the next time; all that is not known is
	definite               // HTTP/2 does not pass here: the tunnel, now
	never                  // it is not about HTTP/2: report it
	unknown                // of a verification alone: it proves nothing
)

// signError is a failure of native gRPC whose class is known where it happened.
type signError struct {
	class class
	what  string // what was seen, in words
	err   error  // the cause; may be nil

	mismatch bool // one end speaks TLS and the other does not
}

func (e *signError) Error() string {
	if e.err == nil {
		return e.what
	}
	return fmt.Sprintf("%s: %v", e.what, e.err)
}

func (e *signError) Unwrap() error { return e.err }

// Alerts with which a server ends a TLS handshake (RFC 8446, Section 6). The
// tls package returns those that it receives as a *net.OpError with this Op,
// around a type of its own with this text.
const remoteAlert = "remote error"

// alerts are the texts of the alerts that mean something for the choice.
//
//nolint:gochecknoglobals // never changed
var alerts = map[string]class{
	"tls: no application protocol":       definite,
	"tls: bad certificate":               never,
	"tls: unsupported certificate":       never,
	"tls: revoked certificate":           never,
	"tls: expired certificate":           never,
	"tls: unknown certificate":           never,
	"tls: unknown certificate authority": never,
	"tls: certificate required":          never,
	"tls: access denied":                 never,
	"tls: unrecognized name":             never,
}

// unadvertised is what crypto/tls says of a server that picks a protocol which
// was not offered. It has no type.
const unadvertised = "tls: server selected unadvertised ALPN protocol"

// classify returns what err, of one attempt at native gRPC, means.
func classify(err error) class {
	var sign *signError
	var op *net.OpError
	var unreached *unreachedError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unreached):
		return never
	case errors.As(err, &sign):
		return sign.class
	case isCertificate(err), errors.As(err, &dns), errors.Is(err, context.Canceled):
		return never
	case errors.As(err, &op) && op.Op == remoteAlert && op.Err != nil:
		return alerts[op.Err.Error()]
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if e.Error() == unadvertised {
			return definite
		}
	}
	return ambiguous
}

// isEvidence reports whether err, of a verification, says something about
// HTTP/2. What answers an unknown method may be another server than the one
// that RPCs reach: a page for all paths, a login, a limit.
func isEvidence(err error) bool {
	class := classify(err)
	return class == definite || class == ambiguous
}

// isCertificate reports whether err says that a certificate was not accepted.
func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// isTimeout reports whether err came from a deadline.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
