package clientaddr

import (
	"net/netip"
	"strconv"
	"strings"
)

// blank is what may stand around the entries of a list.
const blank = " \t"

// cutAddress cuts the last entry off a list such as X-Forwarded-For.
func cutAddress(list string) (node, rest string, more bool) {
	i := strings.LastIndexByte(list, ',')
	return strings.Trim(list[i+1:], blank), list[:max(i, 0)], i >= 0
}

// cutElement cuts the last element off the list in a Forwarded header (RFC
// 7239, Section 4) and returns its "for", which is "" if there is none or the
// element is malformed.
//
// It reads backwards, so that a quote which the client left open does not
// swallow what the proxies added behind it.
func cutElement(list string) (node, rest string, more bool) {
	found := false
	for {
		p, ahead, separator, ok := cutPair(list)
		if !ok {
			return "", "", false
		}
		if strings.EqualFold(p.name, "for") {
			if found {
				return "", "", false // which of them?
			}
			node, found = p.value, true
		}
		if separator != ';' {
			return node, ahead, separator == ','
		}
		list = ahead
	}
}

// pair is one parameter of an element. The zero value is an empty one, as a
// semicolon too many makes it.
type pair struct{ name, value string }

// cutPair cuts the last parameter off a list, and the separator in front of it,
// which is 0 at the beginning of the list.
func cutPair(list string) (p pair, rest string, separator byte, ok bool) {
	list = strings.TrimRight(list, blank)
	quoted := strings.HasSuffix(list, `"`)
	if quoted {
		if list, p.value, ok = cutQuoted(list); !ok {
			return p, "", 0, false
		}
	}
	text := list
	if i := strings.LastIndexAny(list, ",;"); i >= 0 {
		text, rest, separator = list[i+1:], list[:i], list[i]
	}
	text = strings.TrimLeft(text, blank)
	if text == "" {
		return p, rest, separator, !quoted
	}
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.ContainsAny(text, "\"\\"+blank) || quoted && value != "" {
		return p, "", 0, false
	}
	if !quoted {
		p.value = value
	}
	p.name = name
	return p, rest, separator, true
}

// cutQuoted cuts a quoted string off the end of list. In such a string a quote
// has a backslash in front of it, and at its beginning an equals sign.
func cutQuoted(list string) (before, value string, ok bool) {
	end := len(list) - 1
	i := end
	for {
		i = strings.LastIndexByte(list[:i], '"')
		if i < 1 {
			return "", "", false
		}
		if list[i-1] != '\\' {
			return list[:i], list[i+1 : end], list[i-1] == '='
		}
	}
}

// maxNode is more than the longest address, with brackets, port and zone, takes.
const maxNode = 100

// parseNode returns the address and port that s is: with or without a port,
// IPv6 in brackets or, if there is no port, bare. An obfuscated port is none
// (RFC 7239, Section 6).
func parseNode(s string) (netip.AddrPort, bool) {
	if len(s) > maxNode {
		return netip.AddrPort{}, false
	}
	host, portText, hasPort := s, "", false
	bracketed := strings.HasPrefix(s, "[")
	switch {
	case bracketed:
		inside, behind, closed := strings.Cut(s[1:], "]")
		host = inside
		portText, hasPort = strings.CutPrefix(behind, ":")
		if !closed || behind != "" && !hasPort {
			return netip.AddrPort{}, false
		}
	case strings.Count(s, ":") == 1:
		host, portText, hasPort = strings.Cut(s, ":")
	}
	a, err := netip.ParseAddr(host)
	if err != nil || bracketed && !a.Is6() {
		return netip.AddrPort{}, false
	}
	var port uint64
	if hasPort && !strings.HasPrefix(portText, "_") {
		if port, err = strconv.ParseUint(portText, 10, 16); err != nil {
			return netip.AddrPort{}, false
		}
	}
	return netip.AddrPortFrom(a.WithZone("").Unmap(), uint16(port)), true
}
