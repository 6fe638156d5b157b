package nginx

import (
	"fmt"
	"strings"
	"testing"
)

// Request is a line of the access log.
type Request struct {
	Status  int
	Method  string
	Path    string
	Proto   string // HTTP/1.1
	Upgrade string // the header of that name; may be empty
}

// Requests stops nginx and returns what it was asked, in the order in which
// the requests ended. An upgraded connection is one request.
func (s *Server) Requests(t testing.TB) []Request {
	t.Helper()
	s.Stop(t)
	var requests []Request
	for line := range strings.Lines(s.read(t, "access.log")) {
		var r Request
		if _, err := fmt.Sscanf(line, "%d %s %s %s %q", &r.Status, &r.Method, &r.Path, &r.Proto, &r.Upgrade); err != nil {
			t.Fatalf("got %q in nginx's access log, want a line of the format hops: %v", line, err)
		}
		if r.Upgrade == "-" { // nginx's word for nothing
			r.Upgrade = ""
		}
		requests = append(requests, r)
	}
	return requests
}
