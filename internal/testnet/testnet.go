// Package testnet makes pairs of connected net.Conns and certificates for
// tests. Nothing but tests, examples and the demo imports it.
package testnet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"time"

	"culvert/internal/cork"
)

// Kinds of pairs, in the order in which tests go through them. TLS runs on a
// cork.Conn, as it does in the tunnel.
var Kinds = []string{"pipe", "tcp", "tls"}

// Pair returns two ends of a connection of the given kind.
func Pair(kind string) (client, server net.Conn, err error) {
	switch kind {
	case "pipe":
		client, server = net.Pipe()
		return client, server, nil
	case "tcp":
		return tcpPair()
	case "tls":
		return tlsPair()
	default:
		return nil, nil, errors.New("testnet: no such kind: " + kind)
	}
}

func tcpPair() (client, server net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	accepted := make(chan error, 1)
	go func() {
		var err error
		server, err = l.Accept()
		accepted <- err
	}()
	client, err = net.Dial("tcp", l.Addr().String())
	return client, server, errors.Join(err, <-accepted)
}

func tlsPair() (client, server net.Conn, err error) {
	c, s, err := tcpPair()
	if err != nil {
		return nil, nil, err
	}
	serverConfig, clientConfig, err := TLS("localhost")
	if err != nil {
		return nil, nil, err
	}
	clientConfig.ServerName = "localhost"
	tc, ts := tls.Client(cork.New(c), clientConfig), tls.Server(cork.New(s), serverConfig)
	done := make(chan error, 1)
	go func() { done <- ts.Handshake() }()
	err = tc.Handshake()
	return tc, ts, errors.Join(err, <-done)
}

// TLS makes a self-signed certificate for hosts, names or addresses, and
// returns the configuration of a server that has it and of a client that
// trusts it and nothing else.
func TLS(hosts ...string) (server, client *tls.Config, err error) {
	cert, err := Certificate(hosts...)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// Certificate makes a self-signed certificate for hosts that is valid for a day.
func Certificate(hosts ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "culvert test certificate"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:         true, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
