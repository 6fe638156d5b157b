package fallback

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
)

// What is kept of the cookies of one session.
const (
	maxCookies     = 50 // as many as RFC 6265, Section 6.1, asks of a client
	maxCookieBytes = 8 << 10
)

// cookies are those that answers to the upgrade requests of one session set: a
// balancer says by them which server has it. Another session starts without, so
// that tunnels spread over the servers. A jar talks to one host alone, so that it
// needs no list of public suffixes.
type cookies struct {
	mu    sync.Mutex
	jar   *cookiejar.Jar // nil before the first cookie
	names map[string]struct{}
}

// keep takes the cookies of an answer to a request for u.
func (c *cookies) keep(u *url.URL, answer http.Header) {
	set := (&http.Response{Header: answer}).Cookies()
	if len(set) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jar == nil {
		c.jar, _ = cookiejar.New(nil) // never fails
		c.names = map[string]struct{}{}
	}
	kept := set[:0]
	for _, cookie := range set {
		if _, known := c.names[cookie.Name]; !known && len(c.names) == maxCookies {
			continue
		}
		c.names[cookie.Name] = struct{}{}
		kept = append(kept, cookie)
	}
	c.jar.SetCookies(web(u), kept)
}

// add adds the cookies for u to the header of a request, except for those that
// the program itself sends.
func (c *cookies) add(u *url.URL, h http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jar == nil {
		return
	}
	own := map[string]bool{}
	for _, cookie := range (&http.Request{Header: h}).Cookies() {
		own[cookie.Name] = true
	}
	var line strings.Builder
	line.WriteString(strings.Join(h.Values("Cookie"), "; "))
	for _, cookie := range c.jar.Cookies(web(u)) {
		pair := cookie.Name + "=" + cookie.Value
		if own[cookie.Name] || line.Len()+len(pair) > maxCookieBytes {
			continue
		}
		if line.Len() > 0 {
			line.WriteString("; ")
		}
		line.WriteString(pair)
	}
	if line.Len() > 0 {
		h.Set("Cookie", line.String())
	}
}

// web returns u with the scheme of HTTP that a WebSocket's stands for, which
// cookies go by.
func web(u *url.URL) *url.URL {
	w := *u
	w.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	return &w
}
