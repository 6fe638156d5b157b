package fallback

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unaryExplained is an interceptor that says why no way was found, where grpc
// knows no more than that time ran out.
func (d *Dialer) unaryExplained(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error { //nolint:lll // grpc's
	err := invoke(ctx, method, req, reply, cc, opts...)
	if err == nil {
		return nil
	}
	return d.explain(cc, err)
}

// streamExplained is the same for streams.
func (d *Dialer) streamExplained(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) { //nolint:lll // grpc's
	st, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, d.explain(cc, err)
	}
	return st, nil
}

// explain adds to the error of an RPC what its target lacks.
func (d *Dialer) explain(cc *grpc.ClientConn, err error) error {
	st := status.Convert(err)
	if st.Code() != codes.DeadlineExceeded && st.Code() != codes.Unavailable || strings.Contains(st.Message(), "fallback: ") {
		return err // not of the way, or it says already
	}
	endpoint := cc.CanonicalTarget()
	d.mu.Lock()
	t := d.targets[withPort(endpoint[strings.LastIndex(endpoint, "/")+1:])]
	d.mu.Unlock()
	if t == nil {
		return err
	}
	plight := t.plight()
	if plight == nil {
		return err
	}
	p := st.Proto()
	p.Message += "; " + plight.Error()
	return status.ErrorProto(p)
}

// plight says why there is no way at the moment, nil if there is one.
func (t *target) plight() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.policy.verdict.way != Undecided || t.policy.native == nil && t.policy.tunnel == nil {
		return nil
	}
	e := &WayError{Target: t.name, Native: t.policy.native, Tunnel: t.policy.tunnel}
	if d := t.dialling; d != nil && e.Tunnel == nil {
		e.Tunnel = fmt.Errorf("no answer yet, after %v", time.Since(d.begun).Round(time.Millisecond))
	}
	return e
}
