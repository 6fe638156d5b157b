package cuts_test

import (
	"syscall"
	"testing"
	"time"
)

const (
	reloads  = 3
	ended    = `" 101 `    // in nginx's access log: a WebSocket that is no more
	downtime = time.Second // between stop and start
)

// TestUndisturbed shows that the load of the other tests passes through the
// proxies when nothing is cut.
func TestUndisturbed(t *testing.T) {
	for _, p := range []frontend{nginx, haproxy} {
		t.Run(p.command, func(t *testing.T) {
			b, _, l := begin(t, p)
			l.progress(t)
			l.progress(t)
			l.finish(t)
			if n := b.accepted.Load(); n != 1 {
				t.Errorf("got %d connections to the server, want 1", n)
			}
		})
	}
}

// TestNginxReload makes nginx replace its workers, of which the old ones cut
// what they have after 100 ms.
func TestNginxReload(t *testing.T) {
	b, front, l := begin(t, nginx)
	for range reloads {
		l.progress(t)
		before := front.count(t, "access.log", ended)
		front.Signal(t, syscall.SIGHUP)
		l.eventually(t, "nginx to cut the WebSocket", func() bool { return front.count(t, "access.log", ended) > before })
	}
	l.progress(t)
	l.finish(t)
	if n := b.accepted.Load(); n <= reloads {
		t.Errorf("got %d connections to the server, want more than %d", n, reloads)
	}
}

// TestNginxRestart stops nginx and starts it again.
func TestNginxRestart(t *testing.T) { testRestart(t, nginx) }

// TestHAProxyRestart stops haproxy and starts it again.
func TestHAProxyRestart(t *testing.T) { testRestart(t, haproxy) }

func testRestart(t *testing.T, p frontend) {
	b, front, l := begin(t, p)
	l.progress(t)
	before := b.accepted.Load()
	front.Stop(t)
	if err := pause(l.ctx, downtime); err != nil {
		t.Fatal(err)
	}
	front.launch(t)
	l.eventually(t, "a new connection to the server", func() bool { return b.accepted.Load() > before })
	l.progress(t)
	l.finish(t)
}

// begin starts a server, the program in front of it, and RPCs through both.
func begin(t *testing.T, p frontend) (*backend, *proxy, *load) {
	t.Helper()
	b := serve(t)
	front := p.start(t, b.addr, "60s")
	l := newLoad(t, connect(t, front))
	l.run(t, "echo", l.echo)
	l.run(t, "upload", l.upload)
	l.run(t, "download", l.download)
	for range callers {
		l.run(t, "unary calls", l.call)
	}
	return b, front, l
}
