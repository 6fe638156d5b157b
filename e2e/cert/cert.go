// Package cert makes the certificates of a test on the spot: nothing is read
// from the machine, and nothing outlives the test.
package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Name is the subject of the certificate, by which a test recognises it.
const Name = "culvert e2e"

// Pair is a certificate for 127.0.0.1 and localhost with its key, in the forms
// that servers and clients ask for. Its configurations name no protocol (ALPN);
// clone them before adding one.
type Pair struct {
	Server  *tls.Config // presents the certificate
	Client  *tls.Config // trusts the certificate and nothing else
	certPEM []byte
	keyPEM  []byte
}

// New makes a Pair that is valid for an hour, for more names too, or fails the
// test.
func New(t testing.TB, names ...string) *Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("cert: making a key: %v", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: Name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              append([]string{"localhost"}, names...),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatalf("cert: signing: %v", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("cert: encoding the key: %v", err)
	}
	p := &Pair{
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	p.configure(t)
	return p
}

// configure fills in the two TLS configurations from the PEM blocks.
func (p *Pair) configure(t testing.TB) {
	t.Helper()
	pair, err := tls.X509KeyPair(p.certPEM, p.keyPEM)
	if err != nil {
		t.Fatalf("cert: reading back: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.certPEM) {
		t.Fatal("cert: reading back: no certificate in the PEM block")
	}
	p.Server = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	p.Client = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// PEM returns the certificate and its key as PEM blocks.
func (p *Pair) PEM() (certificate, key string) { return string(p.certPEM), string(p.keyPEM) }

// Write puts the certificate and its key into PEM files in dir, for servers
// that are not written in Go, and returns their paths.
func (p *Pair) Write(t testing.TB, dir string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string][]byte{certFile: p.certPEM, keyFile: p.keyPEM} {
		if err := os.WriteFile(name, block, 0o600); err != nil {
			t.Fatalf("cert: %v", err)
		}
	}
	return certFile, keyFile
}
