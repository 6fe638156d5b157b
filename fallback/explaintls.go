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
		return fmt.Errorf("the server does not speak TLS here; its answer begins with %q (for cleartext set Dialer.Insecure): %w",
			record.RecordHeader[:], err)
	}
	var v *tls.CertificateVerificationError
	if !errors.As(err, &v) || len(v.UnverifiedCertificates) == 0 {
		return err
	}
	leaf := v.UnverifiedCertificates[0]
	return fmt.Errorf("%w: the certificate for %s was issued by %q: if this is your proxy's CA, add it to the roots",
		err, leaf.Subject, leaf.Issuer)
}
