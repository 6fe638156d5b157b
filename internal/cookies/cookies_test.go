package cookies_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"culvert/internal/cookies"
)

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// sent returns what a request to u has for cookies.
func sent(s *cookies.Session, u *url.URL, own ...string) string {
	h := http.Header{}
	if own != nil {
		h["Cookie"] = own
	}
	s.Add(u, h)
	return strings.Join(h["Cookie"], "|")
}

// TestAttributes sends back what RFC 6265 wants to be sent back.
func TestAttributes(t *testing.T) {
	for _, tt := range []struct {
		name, from, set, to, want string
	}{
		{"plain", "wss://api.example.com/culvert", "A=1", "wss://api.example.com/culvert", "A=1"},
		{"quoted", "wss://api.example.com/culvert", `A="1 2"`, "wss://api.example.com/culvert", `A="1 2"`},
		{"another port", "wss://api.example.com:8443/culvert", "A=1", "wss://api.example.com/culvert", "A=1"},
		{"address", "ws://127.0.0.1:80/culvert", "A=1; Path=/", "ws://127.0.0.1:81/culvert", "A=1"},
		{"path", "wss://api.example.com/culvert", "A=1; Path=/culvert", "wss://api.example.com/culvert", "A=1"},
		{"another path", "wss://api.example.com/culvert", "A=1; Path=/other", "wss://api.example.com/culvert", ""},
		{"secure", "wss://api.example.com/culvert", "A=1; Secure; HttpOnly", "wss://api.example.com/culvert", "A=1"},
		{"secure, in cleartext", "wss://api.example.com/culvert", "A=1; Secure", "ws://api.example.com/culvert", ""},
		{"domain", "wss://api.example.com/culvert", "A=1; Domain=example.com", "wss://b.example.com/culvert", "A=1"},
		{"host only", "wss://api.example.com/culvert", "A=1", "wss://b.example.com/culvert", ""},
		{"public suffix", "wss://api.example.co.uk/culvert", "A=1; Domain=co.uk", "wss://api.example.co.uk/culvert", ""},
		{"of another domain", "wss://api.example.com/culvert", "A=1; Domain=example.org", "wss://api.example.org/culvert", ""},
		{"expired", "wss://api.example.com/culvert", "A=1; Max-Age=0", "wss://api.example.com/culvert", ""},
		{"expired at a date", "wss://api.example.com/culvert", "A=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "wss://api.example.com/culvert", ""},
		{"garbled", "wss://api.example.com/culvert", "=;;=", "wss://api.example.com/culvert", ""},
		{"huge", "wss://api.example.com/culvert", "A=" + strings.Repeat("1", 5000), "wss://api.example.com/culvert", ""},
	} {
		var s cookies.Session
		s.Granted(parse(t, tt.from), http.Header{"Set-Cookie": {tt.set}})
		if got := sent(&s, parse(t, tt.to)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestExpiry sends a cookie for as long as it lives.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s cookies.Session
		u := parse(t, "wss://api.example.com/culvert")
		s.Granted(u, http.Header{"Set-Cookie": {"A=1; Max-Age=60"}})
		<-time.After(59 * time.Second)
		if got := sent(&s, u); got != "A=1" {
			t.Errorf("got %q after 59s, want A=1", got)
		}
		<-time.After(2 * time.Second)
		if got := sent(&s, u); got != "" {
			t.Errorf("got %q after 61s, want none", got)
		}
	})
}

// TestWhose shows which cookie of several with one name is sent.
func TestWhose(t *testing.T) {
	u := parse(t, "wss://api.example.com/culvert")
	set := func(lines ...string) http.Header { return http.Header{"Set-Cookie": lines} }
	var s cookies.Session
	if got := sent(&s, u, "mine=1"); got != "mine=1" {
		t.Errorf("got %q, want the caller's alone", got)
	}
	s.Granted(u, set("LB=1", "B=1"))
	s.Refused(u, set("LB=2", "WAF=1"))
	if got := sent(&s, u); got != "LB=1; B=1; WAF=1" {
		t.Errorf("got %q, want a refusal's cookie beside that of a 101, not in its place", got)
	}
	if got := sent(&s, u, "B=mine; x=y", "z=1"); got != "B=mine; x=y; z=1; LB=1; WAF=1" {
		t.Errorf("got %q, want the caller's cookies first", got)
	}
	s.Granted(u, set("LB=3", "B=; Max-Age=0"))
	if got := sent(&s, u); got != "LB=3; WAF=1" {
		t.Errorf("got %q, want what the latest 101 says", got)
	}
}

// TestBounds gives more cookies than are kept.
func TestBounds(t *testing.T) {
	u := parse(t, "wss://api.example.com/culvert")
	var s cookies.Session
	for n := range 1000 {
		s.Granted(u, http.Header{"Set-Cookie": {fmt.Sprintf("A%d=1", n), "LB=last"}})
		s.Refused(u, http.Header{"Set-Cookie": {fmt.Sprintf("B%d=1", n)}})
	}
	if got := sent(&s, u); strings.Count(got, "=") > 101 || !strings.Contains(got, "LB=last") {
		t.Errorf("got %d cookies, want 100 at most, with the latest", strings.Count(got, "="))
	}
	for n := range 40 {
		s.Granted(u, http.Header{"Set-Cookie": {fmt.Sprintf("A%d=%s", n, strings.Repeat("1", 4000))}})
	}
	if got := sent(&s, u); len(got) > 9<<10 {
		t.Errorf("got %d bytes of cookies, want 8 KiB at most", len(got))
	}
}
