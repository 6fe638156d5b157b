// Package cookies keeps the cookies of one session's upgrade requests (RFC 6265).
package cookies

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Bounds of what is kept, and sent.
const (
	maxCookies = 50      // of a jar; RFC 6265, Section 6.1
	maxCookie  = 4 << 10 // bytes of a cookie's field
	maxLine    = 8 << 10 // bytes of cookies that a request has besides the caller's
)

// Session holds the cookies that balancers set to find a session's server again.
// The zero value is empty. It may be used by one goroutine at a time.
type Session struct {
	granted jar // by answers that opened the way
	refused jar // by refusals since
}

// Granted takes the cookies of a 101 from u.
func (s *Session) Granted(u *url.URL, answer http.Header) { s.granted.take(u, answer) }

// Refused takes the cookies of a refusal from u. They are sent beside those of a
// 101, and never in their place: another server may have answered, and what it
// sets would lead to it again.
func (s *Session) Refused(u *url.URL, answer http.Header) { s.refused.take(u, answer) }

// Add adds the cookies for u to the header of a request. Those that h has stay,
// and go before one of the same name.
func (s *Session) Add(u *url.URL, h http.Header) {
	own := strings.Join(h["Cookie"], "; ")
	names := map[string]bool{}
	for pair := range strings.SplitSeq(own, ";") {
		name, _, _ := strings.Cut(pair, "=")
		names[strings.TrimSpace(name)] = true
	}
	var add []string
	room := maxLine
	for _, j := range []*jar{&s.granted, &s.refused} {
		cookies := j.cookies(u)
		for _, c := range cookies {
			pair := c.Name + "=" + c.Value
			if c.Quoted {
				pair = c.Name + `="` + c.Value + `"`
			}
			if !names[c.Name] && len(pair) <= room {
				room -= len(pair)
				add = append(add, pair)
			}
		}
		for _, c := range cookies {
			names[c.Name] = true
		}
	}
	if len(add) == 0 {
		return
	}
	if own != "" {
		add = append([]string{own}, add...)
	}
	h["Cookie"] = []string{strings.Join(add, "; ")} // one field: RFC 6265, Section 5.4
}

// jar is a cookie jar of bounded size.
type jar struct {
	jar  *cookiejar.Jar
	seen map[string]struct{} // name, domain and path of what it was given
}

// take keeps the cookies of an answer from u. A jar that is full begins anew.
func (j *jar) take(u *url.URL, answer http.Header) {
	lines := answer["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	var cookies []*http.Cookie
	for _, line := range lines[:min(len(lines), maxCookies)] {
		if c, err := http.ParseSetCookie(line); err == nil && len(line) <= maxCookie {
			cookies = append(cookies, c)
		}
	}
	if j.jar == nil || len(j.seen)+len(cookies) > maxCookies {
		j.jar, _ = cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List}) // never fails
		j.seen = map[string]struct{}{}
	}
	for _, c := range cookies {
		j.seen[c.Name+";"+c.Domain+";"+c.Path] = struct{}{}
	}
	j.jar.SetCookies(web(u), cookies)
}

// cookies returns those for a request to u.
func (j *jar) cookies(u *url.URL) []*http.Cookie {
	if j.jar == nil {
		return nil
	}
	return j.jar.Cookies(web(u))
}

// web returns u, of the scheme ws or wss, as a URL of HTTP.
func web(u *url.URL) *url.URL {
	r := *u
	switch r.Scheme {
	case "ws":
		r.Scheme = "http"
	case "wss":
		r.Scheme = "https"
	}
	return &r
}
