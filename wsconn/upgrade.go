package wsconn

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Upgrader makes the request of an HTTP/1.1 server a WebSocket. The zero value
// is ready to use. An Upgrader may be used concurrently and must not be
// changed once it is in use.
type Upgrader struct {
	// Subprotocols that the server speaks, the preferred first. If there
	// are any, a request that offers none of them is refused with 400.
	Subprotocols []string

	// CheckOrigin decides about a request with an Origin header, which
	// browsers send; false refuses it with 403. Nil allows the server's own
	// origin alone (RFC 6454, Section 5): one field of the form scheme://host
	// or scheme://host:port, without user info. The scheme is https, or http
	// if the request came without TLS; it may be https then too, since a hop
	// in front may have ended TLS. The host is that of the request, in any
	// case, or the same IP address. So is the port; one that is left out is
	// 443 for https and 80 for http. A dot at the end makes another host.
	CheckOrigin func(*http.Request) bool

	// Header is added to the 101.
	Header http.Header

	// HandshakeTimeout bounds the sending of the 101. 0 means 10 s.
	HandshakeTimeout time.Duration

	// Config is of the connections.
	Config *Config
}

// UpgradeError says why a request was refused. It was answered with StatusCode.
type UpgradeError struct {
	StatusCode int
	Reason     string
}

func (e *UpgradeError) Error() string {
	return fmt.Sprintf("wsconn: upgrade refused with %d: %s", e.StatusCode, e.Reason)
}

// Upgrade performs the server's side of the opening handshake (RFC 6455,
// Section 4.2). A request that is none is answered and gives an *UpgradeError;
// the connection is then closed by the HTTP server. Otherwise the connection
// is taken over from w: it has no deadlines, and what the client sent early is
// delivered by Read. It is closed if the 101 cannot be sent. A connection that
// has a method Unwrap() net.Conn is replaced by what that returns.
func (u *Upgrader) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	subprotocol, refusal := u.Check(r)
	if refusal != nil {
		refusal.Answer(w)
		return nil, refusal
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		e := &UpgradeError{http.StatusInternalServerError, "the server cannot hand over the connection: " + err.Error()}
		e.Answer(w)
		return nil, e
	}
	early := buffered(rw.Reader)
	if u, ok := c.(interface{ Unwrap() net.Conn }); ok {
		c = u.Unwrap()
	}
	timeout := cmp.Or(u.HandshakeTimeout, defaultHandshakeTimeout)
	_ = c.SetDeadline(time.Now().Add(timeout))
	if _, err := c.Write(u.answer(r, subprotocol)); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("wsconn: sending the 101 to %s: %w", c.RemoteAddr(), err)
	}
	_ = c.SetDeadline(noDeadline)
	return newConn(c, u.Config, false, subprotocol, early), nil
}

// Check returns the subprotocol that Upgrade would pick for r, or why it would
// refuse. It answers nothing. A request with a body is refused with 400; one that
// says Content-Length: 0 has none, and an Expect: 100-continue of such a request
// is ignored (RFC 9110, Section 10.1.1).
func (u *Upgrader) Check(r *http.Request) (subprotocol string, refusal *UpgradeError) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key")))
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return "", &UpgradeError{http.StatusHTTPVersionNotSupported, "a WebSocket upgrade needs HTTP/1.1, this is " + r.Proto}
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return "", &UpgradeError{http.StatusUpgradeRequired, "this path is a WebSocket; did a hop in front drop Connection or Upgrade?"}
	case r.Method != http.MethodGet:
		return "", &UpgradeError{http.StatusMethodNotAllowed, "a WebSocket upgrade is a GET, this is a " + clip(r.Method, 20)}
	case !hasToken(r.Header, "Sec-WebSocket-Version", "13"):
		return "", &UpgradeError{http.StatusUpgradeRequired, "WebSocket version 13 is needed"}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0: // its body would be read as frames
		return "", &UpgradeError{http.StatusBadRequest, "a WebSocket upgrade has no body, this has Content-Length or Transfer-Encoding"}
	case err != nil || len(key) != 16:
		return "", &UpgradeError{http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64"}
	case !u.originAllowed(r):
		return "", &UpgradeError{http.StatusForbidden, "origin not allowed"}
	}
	if len(u.Subprotocols) == 0 {
		return "", nil
	}
	for _, p := range u.Subprotocols {
		if offers(r.Header, p) {
			return p, nil
		}
	}
	return "", &UpgradeError{http.StatusBadRequest, "no subprotocol in common, the server speaks " + joinTokens(u.Subprotocols)}
}

// Answer sends the refusal as the answer to the request, after which the
// server closes the connection.
func (e *UpgradeError) Answer(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Connection", "close") // the next request must not meet what is left of this one
	if e.StatusCode == http.StatusUpgradeRequired {
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
		h["Connection"] = []string{"close", "Upgrade"} // net/http looks at the first: it must not wait for the body
	}
	if e.StatusCode == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodGet)
	}
	http.Error(w, e.Reason, e.StatusCode)
}

func (u *Upgrader) originAllowed(r *http.Request) bool {
	switch {
	case len(r.Header.Values("Origin")) == 0:
		return true
	case u.CheckOrigin != nil:
		return u.CheckOrigin(r)
	}
	return sameOrigin(r)
}

// answer returns the 101 to r.
func (u *Upgrader) answer(r *http.Request, subprotocol string) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(acceptKey(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key"))))
	b.WriteString("\r\n")
	if subprotocol != "" {
		b.WriteString("Sec-WebSocket-Protocol: " + subprotocol + "\r\n")
	}
	_ = u.Header.Write(&b) // a Builder takes everything
	b.WriteString("\r\n")
	return []byte(b.String())
}

// offers reports whether r offers the subprotocol p. They are compared as they
// are: case counts.
func offers(h http.Header, p string) bool {
	for _, v := range h.Values("Sec-WebSocket-Protocol") {
		if slices.ContainsFunc(strings.Split(v, ","), func(t string) bool { return strings.TrimSpace(t) == p }) {
			return true
		}
	}
	return false
}
