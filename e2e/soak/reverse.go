package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"culvert/fallback"
	"culvert/internal/echo"
	"culvert/listener"
	"culvert/mux"
	"culvert/resume"
	"culvert/wsconn"
)

// callee is a server of tunnels that calls back: its streams lead to the
// client. A listener.Listener keeps its sessions to itself, so this one is
// made of what is beneath.
type callee struct {
	sessions resume.Sessions
	opened   chan *mux.Session
	wg       sync.WaitGroup
}

// ServeHTTP opens a tunnel, or resumes one.
func (s *callee) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := resume.ParseRequest(r.Header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var c *resume.Conn // of a new tunnel
	var a *resume.Attachment
	u := wsconn.Upgrader{Subprotocols: []string{listener.ProtocolV1}}
	if q.Name == "" {
		var name string
		if c, name = s.sessions.Open(nil); c == nil {
			http.Error(w, "too many sessions", http.StatusServiceUnavailable)
			return
		}
		a, u.Header = c.Prepare(), s.sessions.Answer(name)
	} else if a, err = s.sessions.Resume(q, nil); err == nil {
		u.Header = s.sessions.Resumed(a)
	} else {
		s.sessions.Refuse(w.Header())
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	u.Config = (*wsconn.Config)(nil).WithTexts(a.OnText)
	ws, err := u.Upgrade(w, r)
	if err != nil {
		a.Abandon()
	} else {
		err = a.Attach(ws, q.Offset)
	}
	switch {
	case c == nil:
	case err != nil:
		c.Abort()
	default:
		s.wg.Go(func() { s.serve(c) })
	}
}

// serve makes c a session and hands it out, until it ends.
func (s *callee) serve(c *resume.Conn) {
	defer c.Shutdown()
	m, err := mux.Server(c, nil)
	if err != nil {
		return
	}
	defer m.Close()
	s.opened <- m
	<-m.Done()
}

// addReverse adds the way back over a Dialer's Session, through a relay.
func (w *world) addReverse(seed uint64) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &callee{opened: make(chan *mux.Session, 1), sessions: resume.Sessions{Config: &resume.Config{Window: window}}}
	web := &http.Server{Handler: s, ReadHeaderTimeout: opTimeout}
	s.wg.Go(func() { _ = web.Serve(ln) })
	w.onClose(func() {
		_ = web.Close()
		s.wg.Wait()
	})
	addr, err := w.relay(ln.Addr().String(), seed)
	if err != nil {
		return err
	}
	d := &fallback.Dialer{Mode: fallback.WebSocket, Insecure: true}
	w.onClose(func() { _ = d.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	back, err := d.Session(ctx, addr)
	if err != nil {
		return err
	}
	srv := grpc.NewServer()
	(&echo.Server{}).Register(srv)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(back) // the calls notice
	}()
	w.onClose(func() {
		srv.Stop()
		<-served
	})
	select {
	case m := <-s.opened:
		return w.stay(&way{name: "calls back", connect: func() (*grpc.ClientConn, func(), error) {
			return connect("passthrough:///back", grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return m.Open(ctx) }))
		}})
	case <-ctx.Done():
		return errors.New("the tunnel for calls back does not open")
	}
}
