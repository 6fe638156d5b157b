package fallback

import "testing"

// TestDestination goes through the forms of addresses.
func TestDestination(t *testing.T) {
	for _, tt := range []struct {
		addr, wantAddr, wantServer, wantHost, wantSecureHost string
	}{
		{"api.example.com", "api.example.com:443", "api.example.com", "api.example.com:443", "api.example.com"},
		{"api.example.com:443", "api.example.com:443", "api.example.com", "api.example.com:443", "api.example.com"},
		{"api.example.com:80", "api.example.com:80", "api.example.com", "api.example.com", "api.example.com:80"},
		{"api.example.com:https", "api.example.com:https", "api.example.com", "api.example.com:443", "api.example.com"},
		{":8443", "localhost:8443", "localhost", "localhost:8443", "localhost:8443"},
		{"127.0.0.1", "127.0.0.1:443", "127.0.0.1", "127.0.0.1:443", "127.0.0.1"},
		{"[::1]:50051", "[::1]:50051", "::1", "[::1]:50051", "[::1]:50051"},
		{"::1", "[::1]:443", "::1", "[::1]:443", "[::1]"},
		{"[::1]", "[::1]:443", "::1", "[::1]:443", "[::1]"},
		{"[fe80::1%eth7]:80", "[fe80::1%eth7]:80", "fe80::1", "[fe80::1]", "[fe80::1]:80"},
		{"unix:/run/a.sock", "/run/a.sock", "localhost", "localhost", "localhost"},
		{"unix:///run/a.sock", "/run/a.sock", "localhost", "localhost", "localhost"},
		{"unix:a.sock", "a.sock", "localhost", "localhost", "localhost"},
		{"unix-abstract:a", "@a", "localhost", "localhost", "localhost"},
		{"\x00a", "@a", "localhost", "localhost", "localhost"},
		{"@a", "@a", "localhost", "localhost", "localhost"},
	} {
		d := destinationOf(tt.addr)
		if d.addr != tt.wantAddr {
			t.Errorf("%q: got address %q, want %q", tt.addr, d.addr, tt.wantAddr)
		}
		if got := d.serverName(); got != tt.wantServer {
			t.Errorf("%q: got server name %q, want %q", tt.addr, got, tt.wantServer)
		}
		if got := d.host("ws"); got != tt.wantHost {
			t.Errorf("%q: got Host %q for ws, want %q", tt.addr, got, tt.wantHost)
		}
		if got := d.host("wss"); got != tt.wantSecureHost {
			t.Errorf("%q: got Host %q for wss, want %q", tt.addr, got, tt.wantSecureHost)
		}
		if err := d.check(); err != nil {
			t.Errorf("%q: got %v, want nil", tt.addr, err)
		}
	}
	for _, addr := range []string{"host:", "unix:", "@", "a:b:c:d:443:x:"} {
		if err := destinationOf(addr).check(); err == nil && addr != "a:b:c:d:443:x:" {
			t.Errorf("%q: got nil, want an error", addr)
		}
	}
}

// TestAuthorityNames takes the name from the authority and the place from the
// address.
func TestAuthorityNames(t *testing.T) {
	for _, tt := range []struct {
		authority, addr, wantHost, wantServer, wantProxied string
	}{
		{"api.example.com", "10.0.0.1:443", "api.example.com", "api.example.com", "api.example.com:443"},
		{"api.example.com:8443", "10.0.0.1:443", "api.example.com:8443", "api.example.com", "api.example.com:8443"},
		{"[2001:db8::1]", "10.0.0.1:9", "[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:9"},
		{"[fe80::1%25eth7]:1", "[fe80::1%eth7]:1", "[fe80::1]:1", "fe80::1", "[fe80::1%eth7]:1"},
		{"api.example.com", "unix:/a", "api.example.com", "api.example.com", ""},
	} {
		d := at(tt.authority, tt.addr)
		if got := d.host("wss"); got != tt.wantHost {
			t.Errorf("%s at %s: got Host %q, want %q", tt.authority, tt.addr, got, tt.wantHost)
		}
		if got := d.serverName(); got != tt.wantServer {
			t.Errorf("%s at %s: got server name %q, want %q", tt.authority, tt.addr, got, tt.wantServer)
		}
		if d.proxied != tt.wantProxied {
			t.Errorf("%s at %s: got a proxy for %q, want %q", tt.authority, tt.addr, d.proxied, tt.wantProxied)
		}
	}
}

// TestEndpoint reads targets as grpc.NewClient does.
func TestEndpoint(t *testing.T) {
	known := func(s string) bool { return s == "dns" || s == "unix" || s == "passthrough" || s == "disco" }
	for target, want := range map[string][2]string{
		"host":                  {"dns", "host"},
		"host:443":              {"dns", "host:443"},
		"dns:host:443":          {"dns", "host:443"},
		"dns:///host:443":       {"dns", "host:443"},
		"dns://8.8.8.8/host":    {"dns", "host"},
		"passthrough:///host:1": {"passthrough", "host:1"},
		"unix:/run/a.sock":      {"unix", "/run/a.sock"},
		"unix:///run/a.sock":    {"unix", "/run/a.sock"},
		"unix:a.sock":           {"unix", "a.sock"},
		"disco:///api":          {"disco", "api"},
		"[::1]:443":             {"dns", "[::1]:443"},
		"unheard:///api":        {"dns", "unheard:///api"},
	} {
		if scheme, endpoint := endpointOf(target, known); scheme != want[0] || endpoint != want[1] {
			t.Errorf("%s: got %q %q, want %q", target, scheme, endpoint, want)
		}
	}
}

// TestUnusedTargets keeps no more than some targets that nobody uses, and those
// that somebody does.
func TestUnusedTargets(t *testing.T) {
	d := &Dialer{}
	used, err := d.target(destinationOf("used:443"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		one, err := d.target(destinationOf("host:" + string(rune('0'+n%10)) + string(rune('0'+n/10%10)) + string(rune('0'+n/100))))
		if err != nil {
			t.Fatal(err)
		}
		one.leave()
	}
	if got := len(d.targets); got > maxUnused+1 {
		t.Errorf("got %d targets, want %d at most", got, maxUnused+1)
	}
	if d.targets[used.dest] != used {
		t.Error("the target in use was forgotten")
	}
	_ = d.Close()
}
