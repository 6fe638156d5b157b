package wsconn_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"culvert/wsconn"
)

// TestOrigin compares an Origin with the server's own, over TLS and where a hop
// in front may have ended it.
func TestOrigin(t *testing.T) {
	const clear, secure, both, none = 1, 2, 3, 0
	for _, tt := range []struct {
		origin, host string
		allowed      int
	}{
		{"https://api.example.com", "api.example.com", both},
		{"http://api.example.com", "api.example.com", clear},
		{"https://api.example.com", "api.example.com:443", both},
		{"https://api.example.com:443", "api.example.com", both},
		{"https://api.example.com:443", "api.example.com:443", both},
		{"http://api.example.com", "api.example.com:80", clear},
		{"http://api.example.com:80", "api.example.com", clear},
		{"https://api.example.com:", "api.example.com", both},
		{"https://api.example.com", "api.example.com:", both},
		{"https://api.example.com/", "api.example.com", both},
		{"https://api.example.com:8443", "api.example.com:8443", both},
		{"HTTPS://API.example.COM", "api.Example.com:443", both},
		{"https://[2001:DB8::1]:443", "[2001:db8::1]", both},
		{"https://[2001:db8:0:0::1]", "[2001:db8::1]:443", both},
		{"https://127.0.0.1", "127.0.0.1:443", both},
		{"https://api.example.com.", "api.example.com.", both},

		{"https://api.example.com", "api.example.com:80", none},
		{"http://api.example.com", "api.example.com:443", none},
		{"https://api.example.com:80", "api.example.com", none},
		{"https://api.example.com:80", "api.example.com:443", none},
		{"https://api.example.com", "api.example.com:8443", none},
		{"https://api.example.com.", "api.example.com", none},
		{"https://api.example.com", "api.example.com.", none},
		{"https://evil.example", "api.example.com", none},
		{"https://api.example.com.evil.example", "api.example.com", none},
		{"ftp://api.example.com", "api.example.com", none},
		{"ws://api.example.com", "api.example.com", none},
		{"wss://api.example.com", "api.example.com", none},
		{"chrome-extension://api.example.com", "api.example.com", none},
		{"file://api.example.com", "api.example.com", none},
		{"//api.example.com", "api.example.com", none},
		{"api.example.com", "api.example.com", none},
		{"https:api.example.com", "api.example.com", none},
		{"https:///api.example.com", "api.example.com", none},
		{"https://user@api.example.com", "api.example.com", none},
		{"https://user:pw@api.example.com", "api.example.com", none},
		{"https://@api.example.com", "api.example.com", none},
		{"https://api.example.com@evil.example", "evil.example", none},
		{"https://api.example.com/path", "api.example.com", none},
		{"https://api.example.com?q", "api.example.com", none},
		{"https://api.example.com?", "api.example.com", none},
		{"https://api.example.com#f", "api.example.com", none},
		{"https://api.example.com https://evil.example", "api.example.com", none},
		{"https://\u212aey.example", "key.example", none}, // the sign for Kelvin folds to k
		{"null", "api.example.com", none},
		{"null", "null", none},
		{"null", "", none},
		{"", "", none},
		{"https://", "", none},
		{"https://api.example.com", "", none},
		{"https://api.example.com", "user@api.example.com", none},
		{"https://api.example.com", "api.example.com/x", none},
		{"https://2001:db8::1", "[2001:db8::1]", none},
	} {
		for bit, state := range map[int]*tls.ConnectionState{clear: nil, secure: {}} {
			r := upgradeRequest()
			r.Host, r.TLS, r.Header["Origin"] = tt.host, state, []string{tt.origin}
			_, refusal := new(wsconn.Upgrader).Check(r)
			if got, want := refusal == nil, tt.allowed&bit != 0; got != want {
				t.Errorf("Origin %q, Host %q, TLS %v: got %v, want %v", tt.origin, tt.host, state != nil, got, want)
			}
			if refusal != nil && refusal.StatusCode != http.StatusForbidden {
				t.Errorf("Origin %q: got %d, want 403", tt.origin, refusal.StatusCode)
			}
		}
	}
}
