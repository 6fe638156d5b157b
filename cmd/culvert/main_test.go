package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"culvert/internal/testnet"
	"culvert/listener"
)

// TestCommandLine checks the exit status and the one line for wrong usage.
func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		status int
		stderr string
	}{
		{nil, 2, "which command"},
		{[]string{"dance"}, 2, `no command "dance"`},
		{[]string{"demo", "-x"}, 2, "-x"},
		{[]string{"demo", "now"}, 2, `what is "now"`},
		{[]string{"ping"}, 2, "the URL is missing"},
		{[]string{"ping", "http://example.com"}, 2, "wss://host/path"},
		{[]string{"ping", "wss://"}, 2, "wss://host/path"},
		{[]string{"ping", "-ca", "/nonexistent", "wss://h"}, 2, "nonexistent"},
		{[]string{"help"}, 0, ""},
		{[]string{"ping", "-h"}, 0, ""},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(tt.args, &stdout, &stderr); got != tt.status {
			t.Errorf("%q: got status %d, want %d", tt.args, got, tt.status)
		}
		text := stderr.String()
		if !strings.Contains(text, tt.stderr) || strings.Count(text, "\n") > 1 {
			t.Errorf("%q: got %q, want one line with %q", tt.args, text, tt.stderr)
		}
		if tt.status == 0 && !strings.Contains(stdout.String(), "Usage") {
			t.Errorf("%q: got no help", tt.args)
		}
	}
}

// TestDemo runs the demo.
func TestDemo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if got := run([]string{"demo", "-timeout", "60s"}, &stdout, &stderr); got != 0 {
		t.Errorf("got status %d, want 0\n%s%s", got, stdout.String(), stderr.String())
	}
	if !strings.Contains(stdout.String(), "14 of 14 rows held") {
		t.Errorf("got %s", stdout.String())
	}
}

// TestPing measures a tunnel, and says who refused one.
func TestPing(t *testing.T) {
	l, err := listener.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Shutdown(context.Background()) }()
	var stdout, stderr bytes.Buffer
	if got := run([]string{"ping", "-n", "2", "ws://" + l.Addr().String()}, &stdout, &stderr); got != 0 || !strings.Contains(stdout.String(), "ping 2: ") {
		t.Errorf("got status %d, %s%s", got, stdout.String(), stderr.String())
	}
	if got := run([]string{"ping", "ws://" + l.Addr().String() + "/other"}, &stdout, &stderr); got != 1 || !strings.Contains(stderr.String(), "404") {
		t.Errorf("got status %d, %s, want 1 and 404", got, stderr.String())
	}
	if _, _, err := net.SplitHostPort(l.Addr().String()); err != nil {
		t.Error(err)
	}
}

// TestTrust reads a PEM file that has no certificate.
func TestTrust(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust(file); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("got %v, want an error", err)
	}
	if _, _, err := testnet.TLS("h"); err != nil {
		t.Error(err)
	}
}
