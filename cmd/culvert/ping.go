package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"culvert/listener"
	"culvert/mux"
	"culvert/wsconn"
)

// ping opens a tunnel and measures round trips through it.
func ping(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("ping", flag.ContinueOnError)
	n := fs.Int("n", 5, "")
	ca := fs.String("ca", "", "")
	timeout := fs.Duration("timeout", 10*time.Second, "")
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	u, err := url.Parse(fs.Arg(0))
	if err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" {
		return errUsage{fmt.Sprintf("ping: %q is not of the form wss://host/path", fs.Arg(0))}
	}
	if u.Path == "" {
		u.Path = listener.DefaultPath
	}
	cfg, err := trust(*ca)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	d := &wsconn.Dialer{TLS: cfg, Subprotocols: []string{listener.ProtocolV1}, HandshakeTimeout: *timeout}
	start := time.Now()
	ws, err := d.Dial(ctx, u.String())
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: upgraded to %s in %v\n", u, ws.Subprotocol(), round(time.Since(start)))
	s, err := mux.Client(ws, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	for i := range *n {
		rtt, err := s.Ping(ctx)
		if err != nil {
			return fmt.Errorf("the upgrade was answered, but ping %d was not: %w", i+1, err)
		}
		fmt.Fprintf(stdout, "ping %d: %v\n", i+1, round(rtt))
	}
	return nil
}

// trust returns the TLS configuration that trusts the certificates in a PEM
// file, beside the system's.
func trust(file string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, errUsage{"ping: " + err.Error()}
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errUsage{"ping: no certificate in " + file}
	}
	cfg.RootCAs = roots
	return cfg, nil
}

// round drops digits that mean nothing.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d.Round(100 * time.Nanosecond)
	}
}
