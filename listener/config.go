package listener

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"culvert/mux"
	"culvert/resume"
	"culvert/wsconn"
)

// DefaultPath is where the tunnel's upgrade request goes.
const DefaultPath = "/culvert"

// Subprotocols of the upgrade (docs/PROTOCOL.md).
const (
	// ProtocolV1 carries yamux streams, each of them one connection.
	ProtocolV1 = "culvert.v1"
	// ProtocolRawV1 makes the WebSocket itself one connection.
	ProtocolRawV1 = "culvert.raw.v1"
)

// headerFirstStream, with the value 1, is how a client says that its first
// stream is open from the start (docs/PROTOCOL.md).
const headerFirstStream = "Culvert-First-Stream"

// Defaults of Config.
const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultMaxHead          = 16 << 10
	defaultMaxSessions      = 10_000
)

// Config holds what a Listener can be told. A nil *Config and the zero value
// mean the defaults that each field names. It must not be changed once it is
// in use.
type Config struct {
	// TLS makes Listen serve TLS; h2 and http/1.1 are added to its
	// NextProtos. Nil means cleartext. New does not use it: there the
	// request tells whether it came over TLS.
	TLS *tls.Config

	// Path is the upgrade path of Listen. "" means "/culvert".
	Path string

	// Handler gets every HTTP/1.1 request to another path. Nil means 404.
	Handler http.Handler

	// Authorize decides about an upgrade request before the 101. The
	// principal is found in Info by the handlers of every RPC of the
	// tunnel. The error picks the status: that of a *RefusedError, 403
	// otherwise. Nil lets everybody in.
	Authorize func(*http.Request) (principal any, err error)

	// CheckOrigin decides about an upgrade request that has an Origin, as
	// browsers send it. Nil allows the server's own host alone.
	CheckOrigin func(*http.Request) bool

	// HandshakeTimeout bounds the TLS handshake, and then again the reading
	// of a request's head. 0 means 10 s.
	HandshakeTimeout time.Duration

	// MaxHead bounds the head of a request, in bytes. 0 means 16 KiB.
	MaxHead int

	// MaxSessions is how many WebSockets may be open; one more is answered
	// 503 with Retry-After. 0 means 10,000.
	MaxSessions int

	// DisableResume makes a tunnel end with its WebSocket. Otherwise a tunnel
	// whose client asks for it outlives being cut, for as long as
	// resume.Config says.
	DisableResume bool

	// Resume configures tunnels that outlive their WebSocket, and has hooks
	// that tell of it. Its PingInterval and SilenceTimeout, if zero, are
	// WebSocket's. Nil means the defaults.
	Resume *resume.Config

	// MaxResumable is how many such tunnels there may be, and MaxReplay
	// bounds the memory, in bytes, that all of them keep to send again,
	// beyond 16 KiB each. Tunnels above either end with their WebSocket. 0
	// means 10,000 and 256 MiB.
	MaxResumable int
	MaxReplay    int64

	// SamePrincipal decides whether the principal that Authorize returned for
	// a request to resume is the one that opened the tunnel. Nil means
	// reflect.DeepEqual. A client certificate has to be the same in any case.
	SamePrincipal func(opened, resumes any) bool

	// WebSocket and Mux configure the layers beneath.
	WebSocket *wsconn.Config
	Mux       *mux.Config

	// Logger tells of tunnels that come and go, and of requests that were
	// refused. Nil means silence.
	Logger *slog.Logger
}

// withDefaults returns a copy of c in which every zero field has its default.
func (c *Config) withDefaults() Config {
	var r Config
	if c != nil {
		r = *c
	}
	if r.Path == "" {
		r.Path = DefaultPath
	}
	if r.Handler == nil {
		r.Handler = http.HandlerFunc(notFound)
	}
	if r.HandshakeTimeout == 0 {
		r.HandshakeTimeout = defaultHandshakeTimeout
	}
	if r.MaxHead == 0 {
		r.MaxHead = defaultMaxHead
	}
	if r.MaxSessions == 0 {
		r.MaxSessions = defaultMaxSessions
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	if r.TLS != nil {
		r.TLS = r.TLS.Clone()
		for _, p := range []string{"h2", "http/1.1"} {
			if !slices.Contains(r.TLS.NextProtos, p) {
				r.TLS.NextProtos = append(r.TLS.NextProtos, p)
			}
		}
	}
	return r
}

// RefusedError is what Config.Authorize returns to pick the answer.
type RefusedError struct {
	StatusCode int         // such as 401, 403 or 429
	Header     http.Header // added to the answer, such as WWW-Authenticate or Retry-After
	Reason     string      // the answer's body; "" means the status text
}

func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return http.StatusText(e.StatusCode)
	}
	return e.Reason
}
