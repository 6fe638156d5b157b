package parity_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// environment sets variables for the process of the client, in which %p is the
// port of the proxy and %s that of the backend.
func environment(vars ...string) part { return func(w *world) { w.env = vars } }

// setenv sets the variables.
func (w *world) setenv() {
	for _, v := range w.env {
		key, value, _ := strings.Cut(v, "=")
		_ = os.Setenv(key, strings.NewReplacer("%p", w.proxyPort, "%s", w.port()).Replace(value))
	}
}

// proxied starts a proxy that takes CONNECT to names that lead to the backend, and
// answers with code if that is not 200. Its port goes into the environment.
func proxied(code int, auth string) part {
	return with(func(w *world) {
		l := w.listen("127.0.0.1:0")
		_, port, _ := net.SplitHostPort(l.Addr().String())
		w.proxyPort = port
		backend := w.backend
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go serveProxy(c, code, auth, backend)
			}
		}()
	})
}

func serveProxy(c net.Conn, code int, auth, backend string) {
	defer c.Close()
	br := bufio.NewReader(c)
	r, err := http.ReadRequest(br)
	switch {
	case err != nil:
	case code == 0: // hangs
		_, _ = io.Copy(io.Discard, br)
	case auth != "" && !strings.HasSuffix(r.Header.Get("Proxy-Authorization"), auth):
		fmt.Fprint(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
	case code != http.StatusOK:
		fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\n\r\n", code, http.StatusText(code))
	default:
		_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		splice(c, br, backend)
	}
}
