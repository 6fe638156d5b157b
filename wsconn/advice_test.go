package wsconn_test

import (
	"net/http"
	"strings"
	"testing"

	"culvert/wsconn"
)

// TestAdvice looks for the line of configuration that opens the way in what
// the usual intermediaries answer, and for none in what says something else.
func TestAdvice(t *testing.T) {
	for _, tt := range []struct {
		name, server, via string
		status            int
		want              []string // in the advice; none means that it is empty
	}{
		{"squid by Via", "", "1.1 proxy.corp (squid/5.7)", 400, []string{"http_upgrade_request_protocols websocket allow all"}},
		{"squid by Server", "squid/5.7", "", 426, []string{"http_upgrade_request_protocols"}},
		{"squid, a page", "", "1.1 a (squid)", 200, []string{"http_upgrade_request_protocols"}},
		{"squid cannot reach the host", "squid", "1.1 a (squid)", 503, nil},
		{"squid forbids", "squid", "1.1 a (squid)", 403, nil},
		{"nginx, HTTP/1.0 behind", "nginx/1.22.1", "", 505, []string{"proxy_http_version 1.1", `proxy_set_header Connection "upgrade"`}},
		{"nginx without headers", "nginx", "", 426, []string{"proxy_set_header Upgrade $http_upgrade"}},
		{"openresty", "openresty/1.25.3.1", "", 400, []string{"proxy_set_header"}},
		{"nginx, wrong path", "nginx/1.22.1", "", 404, nil},
		{"nginx, backend down", "nginx/1.22.1", "", 502, nil},
		{"Apache", "Apache/2.4.57 (Debian)", "", 426, []string{"upgrade=websocket"}},
		{"Apache, bare", "Apache", "", 500, []string{"upgrade=websocket"}},
		{"Tomcat", "Apache-Coyote/1.1", "", 400, nil},
		{"Varnish", "", "1.1 varnish (Varnish/7.1)", 426, []string{"return (pipe)", "vcl_recv"}},
		{"old Varnish", "", "1.1 varnish", 400, []string{"vcl_recv"}},
		{"h2o", "h2o/2.2.5", "", 426, []string{"proxy.websocket: ON"}},
		{"lighttpd", "lighttpd/1.4.69", "", 426, []string{`"upgrade" => "enable"`}},
		{"nghttpx", "nghttpx", "1.1 nghttpx", 400, []string{"proto=h2"}},
		{"nghttpx, backend down", "nghttpx", "1.1 nghttpx", 502, nil},
		{"two hops", "nginx", "1.1 a (squid/5.7)", 426, []string{"http_upgrade_request_protocols", "; nginx passes"}},
		{"nobody known, HTTP/1.0", "", "", 505, []string{"HTTP/1.0"}},
		{"Apache, HTTP/1.0", "Apache", "", 505, []string{"HTTP/1.0"}},
		{"nobody known", "teapot/1", "1.1 edge", 426, nil},
		{"name within a name", "nginxish", "1.1 squid.corp", 400, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for key, v := range map[string]string{"Server": tt.server, "Via": tt.via} {
				if v != "" {
					h.Set(key, v)
				}
			}
			e := &wsconn.StatusError{Op: "GET", Target: "wss://api.invalid/", StatusCode: tt.status, Status: "a status", Header: h}
			checkAdvice(t, e, tt.want)
		})
	}
}

// TestAdviceOnProxies says what to give a proxy that wants credentials, and
// which port to try.
func TestAdviceOnProxies(t *testing.T) {
	basic := []string{"put user:password into the proxy's URL or set ProxyAuth"}
	for _, tt := range []struct {
		name, target string
		status       int
		offers       []string
		want         []string
	}{
		{"Basic", "h:443", 407, []string{`Basic realm="corp"`}, basic},
		{"Basic behind others", "h:443", 407, []string{"Negotiate", "NTLM", "basic realm=x"}, basic},
		{"Basic in a list", "h:443", 407, []string{`Negotiate, Digest realm="a, b", nonce=x, Basic realm=x`}, basic},
		{"nothing offered", "h:443", 407, nil, basic},
		{"no Basic", "h:443", 407, []string{"Negotiate", `Digest realm="x"`}, []string{"does not take user:password, set ProxyAuth"}},
		{"port 443 forbidden", "h:443", 403, nil, nil},
		{"other port forbidden", "h:8443", 403, nil, []string{"port 443 alone"}},
		{"gateway", "h:80", 502, nil, nil},
		{"no port", "h", 403, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &wsconn.StatusError{
				Op: "CONNECT", Target: tt.target, Proxy: "proxy.corp:3128", StatusCode: tt.status, Status: "a status",
				Header: http.Header{"Server": {"squid"}, "Proxy-Authenticate": tt.offers},
			}
			checkAdvice(t, e, tt.want)
			for _, offer := range tt.offers {
				if !strings.Contains(e.Error(), offer) || !strings.Contains(e.Error(), "proxy proxy.corp:3128") {
					t.Errorf("got %v, want the proxy and that it offers %s", e, offer)
				}
			}
		})
	}
}

// checkAdvice checks that the advice of e holds the texts, and ends its text.
func checkAdvice(t *testing.T, e *wsconn.StatusError, want []string) {
	t.Helper()
	advice := e.Advice()
	if (advice != "") != (len(want) > 0) {
		t.Errorf("got advice %q, want %q", advice, want)
	}
	for _, w := range want {
		if !strings.Contains(advice, w) {
			t.Errorf("got advice %q, want one with %q", advice, w)
		}
	}
	if end := "; " + advice; strings.HasSuffix(e.Error(), end) != (advice != "") {
		t.Errorf("got %q, want the advice at its end", e)
	}
	if strings.Contains(e.Error(), "\n") || len(e.Error()) > 800 {
		t.Errorf("got %q, want one line of bounded length", e)
	}
}
