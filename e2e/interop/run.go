package interop

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// caseTimeout bounds one case. The slowest, orca_oob, takes about three
// seconds.
const caseTimeout = 60 * time.Second

// Target is the way to a server that serves NewServer's services.
type Target struct {
	Addr    string            // for grpc.NewClient
	Options []grpc.DialOption // dialer and credentials
}

// RunAll runs every case against the target, each as a subtest with a
// ClientConn of its own, one after the other.
func RunAll(t *testing.T, target Target) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			if err := c.Run(ctx, target); err != nil {
				t.Errorf("got %v, want success", err)
			}
		})
	}
}

// Run runs the case once, on a ClientConn that it opens and closes, and returns
// what the case found wrong. ctx bounds the calls of the case. It needs
// CatchFatal.
func (c Case) Run(ctx context.Context, target Target) (err error) {
	if !caught.Load() {
		return errors.New("interop: call CatchFatal in TestMain first: a failing case would end the process")
	}
	opts := target.Options
	if c.ServiceConfig != "" {
		opts = append(opts[:len(opts):len(opts)], grpc.WithDefaultServiceConfig(c.ServiceConfig))
	}
	conn, err := grpc.NewClient(target.Addr, opts...)
	if err != nil {
		return fmt.Errorf("interop: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer func() {
		if value := recover(); value != nil {
			err = recovered(value)
		}
	}()
	c.run(ctx, &channel{
		TestServiceClient: testgrpc.NewTestServiceClient(conn),
		conn:              conn,
		addr:              target.Addr,
		dial: func() (*grpc.ClientConn, func()) {
			cc, err := grpc.NewClient(target.Addr, opts...)
			if err != nil {
				panic(err) // not by the network: the same call with the same options passed above
			}
			return cc, func() { _ = cc.Close() }
		},
	})
	return nil
}
