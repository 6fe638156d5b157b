// Package listener is the server's side: one net.Listener for a grpc.Server
// that hands out native gRPC connections and the streams of tunnels alike.
//
// Listen opens a port of its own and tells them apart by ALPN or by the first
// bytes; New is mounted in an existing HTTP/1.1 server as an http.Handler.
package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"culvert/internal/clientaddr"
	"culvert/mux"
	"culvert/resume"
	"culvert/wsconn"
)

// Listener is a net.Listener of native connections and tunnel streams, and the
// http.Handler of the upgrade path. All its methods may be called concurrently.
type Listener struct {
	cfg       Config
	path      string // of the upgrade, as a request spells it
	upgrader  wsconn.Upgrader
	port      net.Listener // nil if made by New
	web       *http.Server // HTTP/1.1 of the port
	webConns  *queue       // its connections
	web2      *http.Server // HTTP/2 of the port that is not gRPC
	web2Conns *queue
	handles   bool       // Config.Handler was set
	conns     chan *conn // to be accepted
	closed    chan struct{}
	sessions  *resume.Sessions
	infos     sync.Map // net.Addr of a tunnel's connections to its *Info
	counters  counters
	unread    *mux.Budget
	streams   streams

	verifying   atomic.Int64 // RPCs that are verifications
	authorizing atomic.Int64 // calls of Authorize and AuthorizeNative

	warnCleartext, warnTLS, warnLeftover sync.Once

	handshakes handshakes
	pace       pace // of TLS handshakes

	mu       sync.Mutex
	closing  bool
	cut      bool // nothing may go on any more
	carriers map[carrier]struct{}
	count    int         // sessions and raw connections, those being upgraded too
	countOf  map[any]int // by their owner's group

	owned sync.WaitGroup
}

// Listen announces on the local network address, as net.Listen does, and
// serves native gRPC and tunnels there. A nil cfg means the defaults, which
// are cleartext.
func Listen(network, addr string, cfg *Config) (*Listener, error) {
	port, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	return Wrap(port, cfg), nil
}

// Wrap is Listen on a port that is there already, whose Close it calls.
func Wrap(port net.Listener, cfg *Config) *Listener {
	l := New(cfg)
	if len(l.cfg.ProxyProtocol) > 0 {
		port = clientaddr.Listen(port, l.cfg.ProxyProtocol, l.cfg.HandshakeTimeout)
	}
	l.port = port
	l.pace = newPace()
	l.webConns = newQueue(port.Addr())
	l.web = &http.Server{
		Handler:           http.HandlerFunc(l.route),
		ReadHeaderTimeout: l.cfg.HandshakeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    l.cfg.MaxHead,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ConnContext:       withWebConn,
		ConnState:         l.onWebState,
		ErrorLog:          errorLog(l.cfg.Logger),
	}
	l.web2, l.web2Conns = l.newWeb2(), newQueue(port.Addr())
	l.warnOpen()
	l.owned.Add(3)
	go func() {
		defer l.owned.Done()
		_ = l.web.Serve(l.webConns)
	}()
	go func() {
		defer l.owned.Done()
		_ = l.web2.Serve(l.web2Conns)
	}()
	go l.acceptLoop()
	return l
}

// New returns a Listener without a port: mount it in an HTTP/1.1 server at the
// upgrade path. A nil cfg means the defaults. It serves tunnels alone: native
// gRPC, over HTTP/2, is what the server around it makes of it, and a gRPC call
// that comes here is answered 426, which leads a fallback.Dialer to the tunnel.
// For both on one port use Listen, with that server's handler as Config.Handler.
func New(cfg *Config) *Listener {
	full := cfg.withDefaults()
	l := &Listener{
		cfg:     full,
		handles: cfg != nil && cfg.Handler != nil,
		path:    (&url.URL{Path: full.Path}).EscapedPath(),
		upgrader: wsconn.Upgrader{
			Subprotocols:     []string{ProtocolV1, ProtocolRawV1},
			CheckOrigin:      full.CheckOrigin,
			HandshakeTimeout: full.HandshakeTimeout,
			Config:           full.WebSocket,
		},
		sessions: full.newSessions(),
		conns:    make(chan *conn),
		closed:   make(chan struct{}),
		carriers: map[carrier]struct{}{},
		countOf:  map[any]int{},
		unread:   mux.NewBudget(full.MaxUnread),
	}
	l.streams = streams{
		max: full.MaxStreams, maxOf: full.MaxStreamsOfPrincipal, counters: &l.counters, of: map[any]*usage{},
	}
	l.handshakes = handshakes{
		max: full.MaxHandshakes, maxFrom: full.MaxHandshakesFromAddress,
		exempt: full.TrustedProxies, counters: &l.counters, from: map[netip.Prefix]int{},
	}
	return l
}

// Accept returns the next native connection or tunnel stream. It is meant for
// a grpc.Server that has ServerOptions or Credentials; another server gets
// plain net.Conns, on which TLS is done. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return &accepted{conn: c, listener: l}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr returns the address of the port, or a placeholder if there is none.
func (l *Listener) Addr() net.Addr {
	if l.port != nil {
		return l.port.Addr()
	}
	return mounted{}
}

// mounted is the address of a Listener made by New.
type mounted struct{}

func (mounted) Network() string { return "culvert" }
func (mounted) String() string  { return "mounted" }

// deliver hands c to Accept, or closes it if nobody will accept it any more, or
// its tunnel, of which done is the method, is gone.
func (l *Listener) deliver(c *conn, done func() <-chan struct{}) {
	select {
	case l.conns <- c: // as a rule: the channel that tells of the end is not even made
		return
	default:
	}
	var gone <-chan struct{}
	if done != nil {
		gone = done()
	}
	select {
	case l.conns <- c:
		return
	case <-l.closed:
	case <-gone:
	}
	_ = c.Close()
}

// Close stops the accepting of connections, tunnels and streams. Connections
// and streams that were handed out go on, as for any net.Listener; a tunnel
// is closed once its last stream is. A tunnel without a WebSocket, now or later,
// waits no more than 5 s for its client, so that a grpc.Server's GracefulStop,
// which calls Close, is not held up by clients that are gone. Close does not wait
// for any of that: see Shutdown.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return nil
	}
	l.closing = true
	close(l.closed)
	l.handshakes.closeUnknown()
	for c := range l.carriers {
		l.endInOrder(c)
	}
	if l.web != nil {
		l.owned.Add(1)
		go func() {
			defer l.owned.Done()
			_ = l.web.Shutdown(context.Background()) // idle ones now, busy ones when they are done
			_ = l.web2.Shutdown(context.Background())
		}()
	}
	l.mu.Unlock()
	l.sessions.End()
	if l.port == nil {
		return nil
	}
	return errors.Join(l.port.Close(), l.webConns.Close(), l.web2Conns.Close())
}

// Shutdown is Close, and then waits until every tunnel has ended by itself and
// every HTTP/1.1 request is answered. When ctx ends first, what is left is cut
// off and ctx's cause returned. Native connections belong to the server that
// accepted them; call its GracefulStop beside this.
func (l *Listener) Shutdown(ctx context.Context) error {
	err := l.Close()
	stop := context.AfterFunc(ctx, l.cutOff)
	l.owned.Wait()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// cutOff ends everything at once.
func (l *Listener) cutOff() {
	if l.web != nil {
		_ = l.web.Close()
		_ = l.web2.Close()
	}
	l.mu.Lock()
	l.cut = true
	carriers := slices.Collect(maps.Keys(l.carriers))
	l.mu.Unlock()
	for _, c := range carriers {
		_ = c.Close()
	}
}

// endInOrder has c end after its last stream; mu is held.
func (l *Listener) endInOrder(c carrier) {
	l.owned.Add(1)
	go func() {
		defer l.owned.Done()
		_ = c.Shutdown(context.Background()) // cutOff may end it
	}()
}

// own registers a goroutine that Shutdown waits for, unless Close was called.
func (l *Listener) own() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.owned.Add(1)
	return true
}

var (
	_ net.Listener = (*Listener)(nil)
	_ http.Handler = (*Listener)(nil)
)
