package inner_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/transport/v3/test"
)

// logging has squid write all headers to its logs, and more.
const logging = `
access_log stdio:{{.Dir}}/access.log
log_mime_hdrs on
debug_options ALL,2 11,9 26,9
`

// Names of the needles.
const (
	inUpgrade  = "upgrade request" // a header, which squid has to see: who does not find it has not looked
	inBody     = "message body"
	inMetadata = "metadata"
	compressed = "metadata in HPACK"
)

// TestSecret looks for what RPCs carry in squid's memory and logs, and finds
// nothing.
func TestSecret(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	s := openGate(t, logging).serve(t, nil)
	for place, f := range s.search(t, true) {
		if got := f.String(); got != inUpgrade {
			t.Errorf("got %q in squid's %s, want only %q", got, place, inUpgrade)
		}
	}
}

// TestOpen is the control: without inner TLS squid has all of it in its memory,
// in both directions, of which one is masked, and gRPC sees squid's certificate.
func TestOpen(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
	s := openGate(t, logging).serve(t, nil)
	memory := s.search(t, false)["memory"]
	for _, want := range []string{inUpgrade, inBody, masked + inBody, compressed, masked + compressed} {
		if !memory[want] {
			t.Errorf("got %q in squid's memory, want %q too: TestSecret proves nothing", memory, want)
		}
	}
}

// search makes RPCs with secrets, with or without inner TLS, and returns which
// of them are in squid's memory, while the tunnel is there, and in its logs.
func (s *stage) search(t *testing.T, inside bool) map[string]found {
	t.Helper()
	body, md, upgrade := secret(), secret(), secret()
	n := needles{inUpgrade: []byte(upgrade), inBody: []byte(body), inMetadata: []byte(md), compressed: huffman(md)}
	d := s.dialer(nil)
	issuer := s.ca
	if inside {
		d.InnerTLS, issuer = s.inside(), s.origin
	}
	d.Header = func(context.Context) (http.Header, error) { return http.Header{"X-Secret": {upgrade}}, nil }
	c, closeBoth := s.client(t, d)
	memory := found{}
	running := begin(t, c, body, md)
	for range glances {
		running.wait(t)
		total := seekMemory(t, s.PID, n, memory)
		t.Logf("beneath traffic: %q in %d MiB", memory, total>>20)
		s.wires.cut()
	}
	running.end(t)
	total := seekMemory(t, s.PID, n, memory)
	t.Logf("after traffic: %q in %d MiB", memory, total>>20)
	if err := presented(t, c).CheckSignatureFrom(issuer.Server.Certificates[0].Leaf); err != nil {
		t.Errorf("with inner TLS: %v; who signed the certificate: %v", inside, err)
	}
	closeBoth()
	return map[string]found{
		"memory": memory, "access log": s.seekLog(t, "access.log", n), "cache log": s.seekLog(t, "output", n),
	}
}

// seekLog looks for n in a file that squid writes, once it has told of the
// upgrade request.
func (s *stage) seekLog(t *testing.T, name string, n needles) found {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	f := found{}
	for end := time.Now().Add(10 * time.Second); !f[inUpgrade] && time.Now().Before(end); <-tick.C {
		content, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n.seek(content, f)
	}
	return f
}
