package parity_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// late is a server that begins to listen after d.
func late(d time.Duration) part {
	return func(w *world) {
		l := w.listen("127.0.0.1:0")
		w.backend = l.Addr().String()
		_ = l.Close()
		with(func(w *world) {
			timer := time.AfterFunc(d, func() {
				if again, err := net.Listen("tcp", w.backend); err == nil {
					w.serve(again, true)
				}
			})
			w.Cleanup(func() { timer.Stop() })
		})(w)
	}
}

// restarts is a server that is stopped after the first RPC and started again.
func restarts(alone bool) part {
	return func(w *world) {
		l := w.listen("127.0.0.1:0")
		w.backend = l.Addr().String()
		var srv *grpc.Server
		w.start = append(w.start, func() { srv = w.serve(l, !alone) })
		w.again = func(ctx context.Context, cc *grpc.ClientConn) {
			srv.Stop()
			cc.WaitForStateChange(ctx, connectivity.Ready)
			again, err := net.Listen("tcp", w.backend)
			if err != nil {
				w.Fatal(err)
			}
			w.serve(again, !alone)
		}
		ready(w)
	}
}

// cuts ends the client's connections after the first RPC.
func cuts(w *world) {
	var mu sync.Mutex
	var conns []net.Conn
	relayed(func(_ *world, c net.Conn, _ []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
		return true
	})(w)
	w.again = func(ctx context.Context, cc *grpc.ClientConn) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
		cc.WaitForStateChange(ctx, connectivity.Ready)
	}
	ready(w)
}

// through is a front that hands everything on.
func through(_ *world, next http.Handler) http.Handler { return next }

// plainBackend has the server behind a front that speaks TLS speak cleartext.
func plainBackend(w *world) {
	w.start = append([]func(){func() { w.secure = false }}, w.start...)
	w.start = append(w.start, func() { w.secure = true })
}

// alpn puts a terminator of TLS before the backend, which knows protos alone.
func alpn(protos ...string) part {
	return func(w *world) {
		plainBackend(w)
		with(func(w *world) {
			cfg := w.pair.Server.Clone()
			cfg.NextProtos = protos
			l, backend := tls.NewListener(w.listen("127.0.0.1:0"), cfg), w.backend
			w.backend = l.Addr().String()
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						splice(c, c, backend)
					}()
				}
			}()
		})(w)
	}
}
