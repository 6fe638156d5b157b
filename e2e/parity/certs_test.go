package parity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"time"
)

// issue makes a certificate of its own issuer, after change.
func (w *world) issue(change func(*x509.Certificate)) tls.Certificate {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "parity"},
		NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"api.test", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		w.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// certified is a server with a certificate of its own, which the client trusts if
// trusted.
func certified(trusted bool, change func(*x509.Certificate)) part {
	return func(w *world) {
		c := w.issue(change)
		p := *w.pair
		p.Server = &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
		if trusted {
			pool := x509.NewCertPool()
			pool.AddCert(c.Leaf)
			p.Client = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
		w.pair = &p
	}
}

func asIs(*x509.Certificate)        {}
func expired(c *x509.Certificate)   { c.NotAfter = time.Now().Add(-time.Hour) }
func otherName(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"elsewhere.test"}, nil }
func apiOnly(c *x509.Certificate)   { c.DNSNames, c.IPAddresses = []string{"api.test"}, nil }
func withSPIFFE(c *x509.Certificate) {
	c.URIs = []*url.URL{{Scheme: "spiffe", Host: "parity.test", Path: "/server"}}
}
func clientNamed(c *x509.Certificate) { c.DNSNames = []string{"client.test"} }
func serverAuthNo(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}
func notYetValid(c *x509.Certificate) {
	c.NotBefore = time.Now().Add(time.Hour)
	c.NotAfter = c.NotBefore.Add(time.Hour)
}

// wantsClient is a server that asks for a client's certificate, which the client
// has if shows.
func wantsClient(shows bool) part {
	return func(w *world) {
		c := w.issue(clientNamed)
		pool := x509.NewCertPool()
		pool.AddCert(c.Leaf)
		serverTLS(func(cfg *tls.Config) { cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, pool })(w)
		if shows {
			w.clientTLS().Certificates = []tls.Certificate{c}
		}
	}
}
