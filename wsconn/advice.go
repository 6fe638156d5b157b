package wsconn

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// What to do about a refusal, where the answer does not name a product.
const (
	adviceBasic = "put user:password into the proxy's URL or set ProxyAuth"
	adviceAuth  = "the proxy does not take user:password, set ProxyAuth"
	advicePort  = "many proxies allow CONNECT to port 443 alone"
	adviceHTTP  = "a hop in front speaks HTTP/1.0 to the server, it has to speak HTTP/1.1 and pass Upgrade and Connection"
)

// refuser is an intermediary that passes an Upgrade only if it is told to.
type refuser struct {
	names    []string // in Server or Via, without a version
	statuses []int    // that it, or the server behind it, answers otherwise
	advice   string
}

// refusers lists what the usual intermediaries need. A server behind one that
// dropped the Upgrade answers 400 or 426, and 505 to HTTP/1.0.
//
//nolint:gochecknoglobals // never changed
var refusers = []refuser{
	{
		[]string{"squid"}, []int{200, 400, 405, 426, 501},
		`squid passes Upgrade only with "http_upgrade_request_protocols websocket allow all", where case counts`,
	},
	{
		[]string{"nginx", "openresty"}, []int{400, 426, 505},
		`nginx passes Upgrade only with "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; ` +
			`proxy_set_header Connection "upgrade";"`,
	},
	{
		[]string{"Apache"}, []int{400, 426, 500, 502},
		`Apache passes Upgrade only with "upgrade=websocket" at its ProxyPass`,
	},
	{
		[]string{"varnish"}, []int{400, 426},
		`Varnish passes Upgrade only by "return (pipe);" in vcl_recv, with Upgrade and Connection set again in vcl_pipe`,
	},
	{
		[]string{"h2o"}, []int{400, 426},
		`h2o passes Upgrade only with "proxy.websocket: ON"`,
	},
	{
		[]string{"lighttpd"}, []int{400, 426, 505},
		`lighttpd passes Upgrade only with "proxy.header = ("upgrade" => "enable")"`,
	},
	{
		[]string{"nghttpx"}, []int{400},
		`nghttpx cannot pass Upgrade to a backend with "proto=h2": use native gRPC there, or a backend of HTTP/1.1`,
	},
}

// Advice says what may open the way, if that is known: what to give a proxy
// that wants credentials, or which line of its configuration makes an
// intermediary, which Server or Via names, pass a WebSocket's Upgrade. It is
// part of Error, and "" if nothing is known.
func (e *StatusError) Advice() string {
	if e.Op == http.MethodConnect {
		return e.connectAdvice()
	}
	var list []string
	products := append(products(e.Header.Values("Via")), products(e.Header.Values("Server"))...)
	for _, r := range refusers {
		if slices.Contains(r.statuses, e.StatusCode) && slices.ContainsFunc(products, r.is) {
			list = append(list, r.advice)
		}
	}
	if len(list) == 0 && e.StatusCode == http.StatusHTTPVersionNotSupported {
		return adviceHTTP
	}
	return strings.Join(list, "; ")
}

// connectAdvice is Advice about a CONNECT.
func (e *StatusError) connectAdvice() string {
	switch e.StatusCode {
	case http.StatusProxyAuthRequired:
		offers := e.Header.Values("Proxy-Authenticate")
		switch {
		case e.negotiated: // ProxyAuth is set, and knows
			return ""
		case len(offers) == 0 || slices.ContainsFunc(offers, takesBasic):
			return adviceBasic
		}
		return adviceAuth
	case http.StatusForbidden:
		if _, port, err := net.SplitHostPort(e.Target); err == nil && port != "443" {
			return advicePort
		}
	}
	return ""
}

// takesBasic reports whether the value of a Proxy-Authenticate header offers
// Basic, which may stand behind other schemes and their parameters.
func takesBasic(challenge string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(challenge, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }),
		func(token string) bool { return strings.EqualFold(token, "Basic") })
}

// is reports whether product, as in a Server or Via header, is r.
func (r *refuser) is(product string) bool {
	return slices.ContainsFunc(r.names, func(name string) bool { return strings.EqualFold(name, product) })
}

// products splits values of Server and Via headers (RFC 9110, Sections 10.2.4
// and 7.6.3) into the names in them: "1.1 edge (squid/5.7)" names squid.
func products(values []string) []string {
	return strings.FieldsFunc(strings.Join(values, " "), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' && r != '_'
	})
}
