package fallback

import (
	"fmt"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// answer is what of the head of an HTTP answer tells gRPC from anything else.
type answer struct {
	status, contentType, grpcStatus string
	server, via, tunnel             string
}

// add takes note of a header field.
func (a *answer) add(f hpack.HeaderField) {
	switch f.Name {
	case ":status":
		a.status = f.Value
	case "content-type":
		a.contentType = f.Value
	case "grpc-status":
		a.grpcStatus = f.Value
	case "server":
		a.server = f.Value
	case "via":
		a.via = f.Value
	case "culvert-tunnel":
		a.tunnel = f.Value
	}
}

// interim reports whether another head follows.
func (a *answer) interim() bool { return len(a.status) == 3 && a.status[0] == '1' }

// isGRPC reports whether a gRPC server gave the answer.
func (a *answer) isGRPC() bool {
	return a.status == "200" && strings.HasPrefix(a.contentType, "application/grpc")
}

// sign returns what an answer that is not gRPC shows. Those that are definite
// come from hops that did not hand the request on as gRPC: no handler saw it.
func (a *answer) sign() *signError {
	s := &signError{class: ambiguous, what: fmt.Sprintf("%s answered HTTP %s, content type %q, and not gRPC",
		a.hop(), clip(a.status), clip(a.contentType))}
	switch a.status {
	case "405", "411", "415", "426", "464", "501", "505":
		s.class = definite
	default:
		if strings.HasPrefix(a.status, "2") || strings.HasPrefix(a.status, "3") {
			s.class = definite
		}
	}
	if a.status == "426" && a.tunnel != "" {
		s.what = a.hop() + " turned gRPC into HTTP/1.1: the culvert server behind it answered 426"
	}
	return s
}

// verificationSign returns what such an answer shows if it came to the
// verification. What answers a method that nobody knows may be a page for all
// other paths, a login, or a default backend: only what tells of HTTP/2 itself
// counts, and failures of a gateway until a tunnel, or an RPC, shows more.
func (a *answer) verificationSign() *signError {
	s := a.sign()
	switch a.status {
	case "411", "426", "464", "505":
	case "500", "502", "503", "504":
		s.class = ambiguous
	default:
		s.class = unknown
	}
	return s
}

// hop names who answered, as far as the answer tells.
func (a *answer) hop() string {
	var names []string
	if a.server != "" {
		names = append(names, "Server: "+clip(a.server))
	}
	if a.via != "" {
		names = append(names, "Via: "+clip(a.via))
	}
	if names == nil {
		return "a hop"
	}
	return "a hop (" + strings.Join(names, ", ") + ")"
}

// clip bounds what of a peer's text goes into an error.
func clip(s string) string {
	const limit = 80
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// lostTrailers is an answer that ended without the status of the RPC.
func lostTrailers() *signError {
	return &signError{class: definite, what: "a hop lost the trailers of an answer, and with them the status of the RPC"}
}
