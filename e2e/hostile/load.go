package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	"culvert/fallback"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

const (
	tunnels     = 4 // honest callers through one each; there is a native one too
	pace        = 20 * time.Millisecond
	freshPace   = 500 * time.Millisecond
	callTimeout = 5 * time.Second
	requestSize = 100
)

// A phase is what the honest callers met in some time.
type phase struct {
	calls   window // on connections that are there
	fresh   window // a new tunnel and a call
	running sync.WaitGroup
}

// load is the honest callers. Each calls at its pace, whether or not the last
// call has ended, so that a server that stands still does not go unnoticed.
type load struct {
	addr    string
	tls     *tls.Config
	clients []*client
	stop    chan struct{}
	wg      sync.WaitGroup

	mu  sync.Mutex
	now *phase
}

// client is one connection to the server.
type client struct {
	dialer *fallback.Dialer
	conn   *grpc.ClientConn
}

// newLoad starts callers of the server at addr. All of them are connected then.
func newLoad(ctx context.Context, addr string, config *tls.Config) (*load, error) {
	l := &load{addr: addr, tls: config, stop: make(chan struct{}), now: &phase{}}
	for i := range tunnels + 1 {
		mode := fallback.WebSocket
		if i == tunnels {
			mode = fallback.Native
		}
		c, err := l.dial(mode)
		if err == nil {
			l.clients = append(l.clients, c)
			err = c.call(ctx, grpc.WaitForReady(true))
		}
		if err != nil {
			return nil, errors.Join(err, l.end())
		}
	}
	for i, c := range l.clients {
		l.every(pace, pace*time.Duration(i)/time.Duration(len(l.clients)), func(p *phase) {
			began := time.Now()
			err := c.call(context.Background())
			p.calls.add(time.Since(began), err)
		})
	}
	l.every(freshPace, 0, func(p *phase) {
		began := time.Now()
		c, err := l.dial(fallback.WebSocket)
		if err == nil {
			err = c.call(context.Background(), grpc.WaitForReady(true))
			defer func() { _ = c.end() }()
		}
		p.fresh.add(time.Since(began), err)
	})
	return l, nil
}

// every does something at a pace, each time in a goroutine of its own.
func (l *load) every(pace, delay time.Duration, do func(*phase)) {
	l.wg.Go(func() {
		wait(delay, l.stop)
		t := time.NewTicker(pace)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-l.stop:
				return
			}
			p := l.enter()
			l.wg.Go(func() {
				defer p.running.Done()
				do(p)
			})
		}
	})
}

func (l *load) enter() *phase {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.running.Add(1)
	return l.now
}

// next begins a phase, and returns the one before when its calls have ended.
func (l *load) next() *phase {
	l.mu.Lock()
	before := l.now
	l.now = &phase{}
	l.mu.Unlock()
	before.running.Wait()
	return before
}

func (l *load) dial(mode fallback.Mode) (*client, error) {
	d := &fallback.Dialer{Mode: mode, TLS: l.tls, Header: bearer("honest")}
	conn, err := grpc.NewClient(l.addr, d.DialOptions()...)
	return &client{d, conn}, err
}

func (c *client) call(ctx context.Context, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := testgrpc.NewTestServiceClient(c.conn).UnaryCall(ctx,
		&testgrpc.SimpleRequest{Payload: &testgrpc.Payload{Body: make([]byte, requestSize)}}, opts...)
	return err
}

func (c *client) end() error { return errors.Join(c.conn.Close(), c.dialer.Close()) }

// end ends all callers.
func (l *load) end() error {
	close(l.stop)
	l.wg.Wait()
	var errs []error
	for _, c := range l.clients {
		errs = append(errs, c.end())
	}
	return errors.Join(errs...)
}

// bearer returns what adds a token to an upgrade request.
func bearer(token string) func(context.Context) (http.Header, error) {
	return func(context.Context) (http.Header, error) {
		return http.Header{"Authorization": {"Bearer " + token}}, nil
	}
}

// wait waits for d, or until stop is closed.
func wait(d time.Duration, stop <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	}
}
