package wsconn

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// canonical returns a copy of h in which each key is spelled as package net/http
// looks for it: that leaves out what would contradict the framing, such as a
// second Host or a Content-Length.
func canonical(h http.Header) http.Header {
	r := make(http.Header, len(h)+8)
	for _, key := range slices.Sorted(maps.Keys(h)) {
		name := http.CanonicalHeaderKey(key)
		r[name] = append(r[name], h[key]...)
	}
	return r
}

// merged returns the fields of h, except those of which over has some, and those
// of over.
func merged(h, over http.Header) http.Header {
	r := canonical(h)
	maps.Copy(r, canonical(over))
	return r
}

// takeHost makes a Host in the header of req the one that is sent. It returns
// what is wrong with it, "" if nothing is.
func takeHost(req *http.Request) (reason string) {
	req.Header = canonical(req.Header)
	switch hosts := req.Header["Host"]; {
	case len(hosts) > 1:
		return fmt.Sprintf("the header to send has %d fields Host", len(hosts))
	case len(hosts) == 1 && hosts[0] != "":
		req.Host = hosts[0]
	}
	host, err := httpguts.PunycodeHostPort(req.Host)
	if err != nil || !httpguts.ValidHostHeader(host) { // net/http would send an empty one
		return fmt.Sprintf("Host %q cannot be sent", clip(req.Host, 80))
	}
	return ""
}
