package differential

import (
	"net/http"
	"strings"
)

// allowedRequest returns why the two may disagree about r, "" if they may not.
func allowedRequest(r *http.Request, ours, theirs verdict) string {
	h := r.Header
	protocols := strings.Join(h.Values("Sec-WebSocket-Protocol"), ",")
	switch {
	case ours.err != nil && theirs.err == nil && theirs.subprotocol == "":
		return "no subprotocol in common: ours refuses, theirs goes on without"
	case theirs.err == nil && strings.Contains(strings.ToLower(protocols), subprotocol) && ours.subprotocol != theirs.subprotocol:
		return "a subprotocol in another case: ours compares it as it is, theirs does not"
	case ours.err != nil && theirs.err == nil && r.Proto != "HTTP/1.1":
		return "theirs takes every HTTP from 1.1 on"
	case ours.err != nil && theirs.err == nil && len(h.Values("Origin")) > 0:
		return "several origins, or an empty one: ours refuses, theirs looks at the first, or at none"
	case ours.err == nil && theirs.err != nil && h.Get("Sec-WebSocket-Version") != "13":
		return "ours takes a list of versions with 13 in it"
	case ours.err == nil && theirs.err != nil && len(h.Values("Sec-WebSocket-Key")) > 1:
		return "ours takes the first of several keys, theirs refuses: RFC 6455, 11.3.1 forbids the client to send them"
	}
	return ""
}

// allowedAnswer is allowedRequest for the answer to a dial.
func allowedAnswer(resp *http.Response, ours, theirs verdict) string {
	h := resp.Header
	switch {
	case theirs.err == nil && h.Get("Sec-WebSocket-Protocol") == "":
		return "no subprotocol: ours refuses, theirs goes on without"
	case theirs.err == nil && strings.EqualFold(h.Get("Sec-WebSocket-Protocol"), subprotocol) && h.Get("Sec-WebSocket-Protocol") != subprotocol:
		return "a subprotocol in another case: ours compares it as it is, theirs does not"
	case ours.err != nil && theirs.err == nil && len(h.Values("Sec-WebSocket-Protocol")) > 1:
		return "several subprotocols: ours refuses, theirs takes the first"
	case ours.err != nil && theirs.err == nil && resp.Proto != "HTTP/1.1":
		return "theirs takes a 101 of every HTTP"
	case ours.err != nil && theirs.err == nil && h.Get("Sec-WebSocket-Version") != "":
		return "theirs does not look at the version, which only a refusal has to have"
	case ours.err != nil && theirs.err == nil && strings.Trim(h.Get("Sec-WebSocket-Extensions"), ", \t") == "" && h.Get("Sec-WebSocket-Extensions") != "":
		return "theirs takes a list of no extensions for none"
	case ours.err != nil && theirs.err == nil && len(h.Values("Sec-WebSocket-Extensions")) > 0:
		return "theirs looks at extensions"
	}
	return ""
}
