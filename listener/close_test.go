package listener_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"

	"culvert/listener"
	"culvert/mux"
	"culvert/wsconn"
)

// opening is what a client of HTTP/2 sends first: its preface and SETTINGS.
const opening = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// native connects as a client of HTTP/2 does and returns both ends.
func native(t *testing.T, l *listener.Listener) (client, server net.Conn) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	_, _ = io.WriteString(client, opening)
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// tunnel opens a tunnel and returns its client's session.
func tunnel(t *testing.T, l *listener.Listener) *mux.Session {
	t.Helper()
	d := &wsconn.Dialer{Subprotocols: []string{listener.ProtocolV1}}
	ws, err := d.Dial(t.Context(), "ws://"+l.Addr().String()+"/culvert")
	if err != nil {
		t.Fatal(err)
	}
	s, err := mux.Client(ws, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// open opens a stream and returns both ends.
func open(t *testing.T, l *listener.Listener, s *mux.Session) (client, server net.Conn) {
	t.Helper()
	client, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// pass sends a word through a connection.
func pass(t *testing.T, from, to net.Conn, word string) {
	t.Helper()
	if _, err := io.WriteString(from, word); err != nil {
		t.Fatalf("Write: got %v, want nil", err)
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != word {
		t.Fatalf("Read: got %q, %v, want %q", got, err, word)
	}
}

// TestCloseKeepsNative lets native connections that were accepted go on, also
// those that were accepted just now.
func TestCloseKeepsNative(t *testing.T) {
	for range 50 {
		l, err := listener.Listen("tcp", "127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		client, server := native(t, l)
		_ = l.Close()
		pass(t, server, client, "still there")
		got := make([]byte, len(opening))
		if _, err := io.ReadFull(server, got); err != nil || string(got) != opening {
			t.Fatalf("Read: got %q, %v, want the preface and SETTINGS", got, err)
		}
		_ = server.Close()
		if err := l.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
	}
}

// TestCloseKeepsStreams lets the streams of a tunnel finish, opens no more, and
// ends the tunnel after the last one. Shutdown waits for that.
func TestCloseKeepsStreams(t *testing.T) {
	t.Run("of a tunnel", func(t *testing.T) { closeKeepsStreams(t, nil, func() {}) })
	t.Run("of a tunnel that is being tracked", func(t *testing.T) {
		h := &holdUp{Handler: slog.DiscardHandler, message: "listener: tunnel opened", until: make(chan struct{})}
		closeKeepsStreams(t, &listener.Config{Logger: slog.New(h)}, func() { close(h.until) })
	})
}

// holdUp is a log that holds up who writes a certain message.
type holdUp struct {
	slog.Handler

	message string
	until   chan struct{}
}

func (h *holdUp) Enabled(context.Context, slog.Level) bool { return true }

func (h *holdUp) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		<-h.until
	}
	return nil
}

// closeKeepsStreams calls closed when it has called Close.
func closeKeepsStreams(t *testing.T, cfg *listener.Config, closed func()) {
	t.Helper()
	l := listen(t, cfg)
	s := tunnel(t, l)
	client, server := open(t, l, s)
	_ = l.Close()
	closed()
	down := make(chan error, 1)
	go func() { down <- l.Shutdown(context.Background()) }()
	for { // the client learns it soon, from a goroutine of the server's
		pass(t, client, server, "going on")
		pass(t, server, client, "and back")
		late, err := s.Open(t.Context())
		if errors.Is(err, mux.ErrGoAway) {
			break
		}
		if err != nil {
			t.Fatalf("Open: got %v, want ErrGoAway", err)
		}
		_ = late.Close()
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown: got %v before the last stream ended", err)
	case <-s.Done():
		t.Fatal("the session ended before its last stream")
	default:
	}
	_ = server.Close()
	if err := <-down; err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
	if got, err := io.ReadAll(client); len(got) > 0 || err != nil {
		t.Errorf("Read: got %q, %v, want the end", got, err)
	}
	<-s.Done()
	if err := s.Err(); !errors.Is(err, io.EOF) {
		t.Errorf("session: got %v, want EOF", err)
	}
}

// TestShutdownCut ends what is left when the context does: streams, raw
// connections and HTTP requests.
func TestShutdownCut(t *testing.T) {
	l, err := listener.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	client, server := open(t, l, tunnel(t, l))
	d := &wsconn.Dialer{Subprotocols: []string{listener.ProtocolRawV1}}
	raw, err := d.Dial(t.Context(), "ws://"+l.Addr().String()+"/culvert")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	rawServer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	pass(t, client, server, "stream")
	pass(t, raw, rawServer, "raw")

	cause := errors.New("out of patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	down := make(chan error, 1)
	go func() { down <- l.Shutdown(ctx) }()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: got %v, want net.ErrClosed", err)
	}
	pass(t, client, server, "more")
	cancel(cause)
	if err := <-down; !errors.Is(err, cause) {
		t.Errorf("Shutdown: got %v, want %v", err, cause)
	}
	for name, c := range map[string]net.Conn{"stream": client, "raw": raw, "stream's server": server, "raw's server": rawServer} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: got data, want its end", name)
		}
	}
}

// TestCloseRefusesWaiting closes a stream and a native connection that nobody
// accepted.
func TestCloseRefusesWaiting(t *testing.T) {
	l := listen(t, nil)
	s := tunnel(t, l)
	stream, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ping(t.Context()); err != nil { // the stream is at the server
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "PRI ")
	_ = l.Close()
	for name, c := range map[string]net.Conn{"stream": stream, "native": c} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: got data, want its end", name)
		}
	}
}
