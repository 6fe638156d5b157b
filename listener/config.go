package listener

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"culvert/internal/clientaddr"
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

// headerMaxStreams is how a server says how many streams a client may have open
// on the tunnel (docs/PROTOCOL.md).
const headerMaxStreams = "Culvert-Max-Streams"

// Defaults of Config.
const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultMaxHead          = 16 << 10
	defaultMaxSessions      = 10_000

	defaultMaxUnread              = 32 << 20
	defaultMaxHandshakes          = 1024
	defaultMaxAuthorizing         = 1024
	defaultMaxHandshakesFrom      = 256
	defaultMaxSessionsOfPrincipal = 1000
	defaultMaxSessionAgeGrace     = time.Minute
	defaultMaxStreams             = 32_768
	defaultMaxStreamsOfPrincipal  = 2048
	defaultMuxStreams             = 256 // of one tunnel, as for mux.Config
)

// Config holds what a Listener can be told. A nil *Config and the zero value
// mean the defaults that each field names. It must not be changed once it is
// in use.
type Config struct {
	// TLS makes Listen serve TLS; h2 and http/1.1 are added to its
	// NextProtos, and to those of what its GetConfigForClient returns. Nil
	// means cleartext. New does not use it: there the
	// request tells whether it came over TLS.
	TLS *tls.Config

	// Path is the upgrade path of Listen, with or without its first slash. A
	// request's path has to be spelled as this one, escapes included. ""
	// means "/culvert".
	Path string

	// Handler gets every request to another path that is not gRPC, over
	// HTTP/1.1 and HTTP/2. Nil means 404, and over HTTP/2 the answer of the
	// grpc.Server.
	Handler http.Handler

	// Authorize decides about an upgrade request before the 101. The
	// principal is found in Info by the handlers of every RPC of the
	// tunnel. The error picks the status: that of a *RefusedError, 403
	// otherwise. Nil lets everybody in. Native gRPC does not come by here:
	// see AuthorizeNative and RequireTunnel. A port that has Authorize and
	// neither of them, nor TLS.ClientAuth, takes native RPCs from everybody,
	// which is logged at Warn.
	Authorize func(*http.Request) (principal any, err error)

	// MaxAuthorizing is how many calls of Authorize and AuthorizeNative may
	// run at a time; one more request is answered 503 with Retry-After, and
	// one more native connection is refused. 0 means 1024.
	MaxAuthorizing int

	// AuthorizeNative decides about a native connection of HTTP/2 before the
	// grpc.Server gets it. The principal is found in Info as for tunnels. If
	// there is an error each RPC ends with its text: Unauthenticated for a
	// *RefusedError of 401, PermissionDenied otherwise; a fallback.Dialer
	// tries the tunnel. Nil lets everybody in.
	AuthorizeNative func(*Native) (principal any, err error)

	// RequireTunnel refuses native connections of HTTP/2 with GOAWAY and
	// HTTP_1_1_REQUIRED. A fallback.Dialer goes through the tunnel then.
	RequireTunnel bool

	// Cookies lets Authorize see the Cookie header of a request. A browser
	// sends cookies whoever's script it is that asks for the WebSocket, so
	// that they prove nothing unless CheckOrigin is strict.
	Cookies bool

	// CheckOrigin decides about an upgrade request that has an Origin, as
	// browsers send it; false refuses it with 403. Nil allows the server's
	// own host alone.
	CheckOrigin func(*http.Request) bool

	// TrustedProxies are the networks of the HTTP proxies in front whose word
	// on the client's address is taken. It is read backwards from the end of
	// the header field ForwardedHeader, up to the first address that is no
	// trusted proxy's: what a client wrote itself counts for nothing. The
	// proxies have to append to that field; "" means X-Forwarded-For, and
	// "Forwarded" is read as RFC 7239 has it. Nil trusts nobody: the address
	// is that of the connection. If it is not nil, whoever connects to a
	// unix socket is trusted. Native connections have no such field: their
	// address is that of the connection, or of ProxyProtocol.
	TrustedProxies  []netip.Prefix
	ForwardedHeader string

	// ProxyProtocol are the networks of balancers that put a head of the
	// PROXY protocol, version 1 or 2, in front of each connection. One from
	// there without a head is closed, and elsewhere a head is data like any
	// other.
	ProxyProtocol []netip.Prefix

	// InnerTLS, if not nil, offers TLS inside the tunnel to clients that ask
	// for it: a proxy that opens the outer TLS sees ciphertext, and TLSInfo
	// of an RPC is of the inner one. It may ask for client certificates.
	// NextProtos is replaced, and TLS 1.3 is the least. RequireInnerTLS
	// refuses tunnels, and raw connections, without it with 400.
	InnerTLS        *tls.Config
	RequireInnerTLS bool

	// HandshakeTimeout bounds the TLS handshake, and then again the reading
	// of a request's head, or of HTTP/2's preface and first SETTINGS frame. 0
	// means 10 s.
	HandshakeTimeout time.Duration

	// MaxHead bounds the head of a request, in bytes. 0 means 16 KiB.
	MaxHead int

	// MaxHandshakes is how many connections of the port may be there that
	// have not told what they want: in TLS, in a request's head or HTTP/2's
	// preface, idle between
	// requests of HTTP/1.1, or waiting for Accept. For one more, the slowest
	// is closed if it has taken over a second, else one from an address that
	// has more than the new one's, else the new one. 0 means 1024.
	MaxHandshakes int

	// MaxHandshakesFromAddress is how many of them may come from one IPv4
	// address or one /64 of IPv6, proxies excepted that are trusted. 0 means
	// 256.
	MaxHandshakesFromAddress int

	// MaxSessions is how many tunnels and raw connections may be open. For
	// one more, a tunnel that has lost its WebSocket makes room: one of which
	// no use was made, or one of the principal that has most, or of the address
	// for callers without a principal. Otherwise the new one is answered 503
	// with Retry-After. 0 means 10,000.
	MaxSessions int

	// MaxSessionsOfPrincipal is how many of them one principal may have; one
	// more is answered 429 with Retry-After. Principals are told apart by ==:
	// Authorize has to return the same string, or struct of such, for the
	// same caller. Those that are nil or do not compare are not counted. 0
	// means 1000, a negative value as many as there are.
	MaxSessionsOfPrincipal int

	// MaxStreams is how many streams all tunnels may have open, and
	// MaxStreamsOfPrincipal how many those of one principal may have. Each is
	// a connection to gRPC, which costs some 20 KiB. One more is reset
	// before it is accepted, and a new tunnel is answered 503 or 429 with
	// Retry-After. Tunnels that have lost their WebSocket may have an eighth
	// of all streams, and half of their principal's: beyond that, one with
	// more than 8 ends with its WebSocket, and from half of that on they are
	// kept for 10 s instead of Resume.Window. 0 means 32,768 and 2048; a
	// negative MaxStreamsOfPrincipal means no limit.
	MaxStreams            int
	MaxStreamsOfPrincipal int

	// MaxSessionAge is how long a tunnel takes new streams: after that its
	// client opens another one, about which Authorize is asked. What still
	// runs on it MaxSessionAgeGrace later is cut, and so is a raw connection.
	// A grpc.Server whose keepalive.ServerParameters have a shorter
	// MaxConnectionAge has moved its RPCs by then. 0 means no end, and for
	// the grace 1 min.
	MaxSessionAge      time.Duration
	MaxSessionAgeGrace time.Duration

	// DisableResume makes a tunnel end with its WebSocket. Otherwise a tunnel
	// whose client asks for it outlives being cut, for as long as
	// resume.Config says.
	DisableResume bool

	// Resume configures tunnels that outlive their WebSocket, and has hooks
	// that tell of it. Its PingInterval and SilenceTimeout, if zero, are
	// WebSocket's. Nil means the defaults. A handler's context learns that its
	// client died when Resume.Window has passed, 2 min by default: after the
	// TCP connection ended, or after SilenceTimeout if nothing tells of that.
	// It is 3 s for a tunnel of which no use was made, and 5 s once Close was
	// called.
	Resume *resume.Config

	// MaxResumable is how many such tunnels there may be, and MaxReplay
	// bounds the memory, in bytes, that all of them keep to send again,
	// beyond 16 KiB each, of which one principal may have an eighth. Tunnels
	// above either end with their WebSocket. 0 means 10,000 and 256 MiB.
	MaxResumable int
	MaxReplay    int64

	// MaxUnread bounds the memory, in bytes, of what came through tunnels and
	// was not read yet, for all of them together. When it is used up, the one
	// that holds most is ended, unless that is less than 1 MiB. 0 means
	// 32 MiB. A Budget in Mux takes its place.
	MaxUnread int64

	// SamePrincipal decides whether the client of a request to resume is the
	// one that opened the tunnel. It gets what Authorize returned for both,
	// which may hold the certificates in r.TLS. If Authorize is nil, it gets
	// the clients' own certificates, each an *x509.Certificate or nil. It has
	// the last word: return true for a certificate that was renewed. Nil means
	// that principals are equal by reflect.DeepEqual and client certificates
	// byte by byte, so that a tunnel whose client has renewed its certificate
	// is not resumed.
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
	if r.Handler == nil {
		r.Handler = http.HandlerFunc(notFound)
	}
	r.Path = cmp.Or(r.Path, DefaultPath)
	r.HandshakeTimeout = cmp.Or(r.HandshakeTimeout, defaultHandshakeTimeout)
	r.MaxHead = cmp.Or(r.MaxHead, defaultMaxHead)
	r.MaxSessions = cmp.Or(r.MaxSessions, defaultMaxSessions)
	r.MaxHandshakes = cmp.Or(r.MaxHandshakes, defaultMaxHandshakes)
	r.MaxAuthorizing = cmp.Or(r.MaxAuthorizing, defaultMaxAuthorizing)
	r.MaxHandshakesFromAddress = cmp.Or(r.MaxHandshakesFromAddress, defaultMaxHandshakesFrom)
	r.MaxSessionsOfPrincipal = cmp.Or(r.MaxSessionsOfPrincipal, defaultMaxSessionsOfPrincipal)
	r.MaxStreams = cmp.Or(r.MaxStreams, defaultMaxStreams)
	r.MaxStreamsOfPrincipal = cmp.Or(r.MaxStreamsOfPrincipal, defaultMaxStreamsOfPrincipal)
	r.MaxSessionAgeGrace = cmp.Or(r.MaxSessionAgeGrace, defaultMaxSessionAgeGrace)
	r.ForwardedHeader = cmp.Or(r.ForwardedHeader, clientaddr.XForwardedFor)
	r.MaxUnread = cmp.Or(r.MaxUnread, defaultMaxUnread)
	r.Logger = cmp.Or(r.Logger, slog.New(slog.DiscardHandler))
	if !strings.HasPrefix(r.Path, "/") {
		r.Path = "/" + r.Path
	}
	if r.TLS != nil {
		r.TLS = withProtocols(r.TLS)
	}
	return r
}

// withProtocols returns cfg with the protocols of the port, for the
// configurations too that its GetConfigForClient returns. Those are cloned for
// each handshake, as grpc's own credentials do: crypto/tls takes the keys of
// session tickets from cfg then, unless they have some of their own.
func withProtocols(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	for _, p := range []string{"h2", "http/1.1"} {
		if !slices.Contains(cfg.NextProtos, p) {
			cfg.NextProtos = append(slices.Clip(cfg.NextProtos), p)
		}
	}
	choose := cfg.GetConfigForClient
	if choose == nil {
		return cfg
	}
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := choose(hello)
		if err != nil || chosen == nil {
			return nil, err
		}
		return withProtocols(chosen), nil
	}
	return cfg
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
