package fallback

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// explainTLS says what to do about a certificate that was not accepted, and what
// came in the place of TLS.
func explainTLS(err error) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		what := fmt.Sprintf("the server does not speak TLS here, the answer begins with %q", record.RecordHeader[:])
		e := &signError{what: what, err: err}
		if isCleartext(record.RecordHeader) {
			e.class, e.mismatch = never, true
			e.what += "; for cleartext set Dialer.Insecure, for TLS give the server a certificate"
		}
		return e
	}
	var v *tls.CertificateVerificationError
	if !errors.As(err, &v) || len(v.UnverifiedCertificates) == 0 {
		return err
	}
	leaf := v.UnverifiedCertificates[0]
	return fmt.Errorf("%w: the certificate for %s was issued by %q: if this is your proxy's CA, add it to the roots",
		err, leaf.Subject, leaf.Issuer)
}

// isCleartext reports whether a server that was sent a ClientHello began its
// answer as one of HTTP/1.1, or of HTTP/2 with SETTINGS.
func isCleartext(head [5]byte) bool {
	return string(head[:]) == "HTTP/" || head[0] == 0 && head[1] == 0 && head[3] == typeSettings && head[4] == 0
}
