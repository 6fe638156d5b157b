package fallback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"culvert/wsconn"
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

// explain adds to the error of an RPC what its target lacks, and gives the code
// that gRPC has for the answer if the server refused the upgrade for want of
// credentials.
func (d *Dialer) explain(cc *grpc.ClientConn, err error) error {
	st := status.Convert(err)
	foreign := strings.Contains(st.Message(), foreignAnswer)
	if !foreign && st.Code() != codes.DeadlineExceeded && st.Code() != codes.Unavailable {
		return err // not of the way
	}
	t := d.find(cc.CanonicalTarget())
	if t == nil {
		return err
	}
	p := st.Proto()
	if shut := t.bothShut(); foreign && shut != nil {
		p.Message += "; " + shut.Error()
		return status.ErrorProto(p)
	}
	said := strings.Contains(p.GetMessage(), "fallback: ")
	plight := t.plight()
	switch code := t.refusal(); {
	case code != codes.OK && st.Code() == codes.Unavailable && (said || plight != nil):
		p.Code = int32(code)
	case said || plight == nil:
		return err
	}
	if !said && plight != nil {
		p.Message += "; " + plight.Error()
	}
	return status.ErrorProto(p)
}

// foreignAnswer is how grpc begins the message of an RPC that something else
// than gRPC answered.
const foreignAnswer = "unexpected HTTP status code received from server"

// bothShut says what an RPC showed of native, and how the tunnel was refused, if
// both are so.
func (t *target) bothShut() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sign == nil || t.policy.tunnel == nil {
		return nil
	}
	return &WayError{Target: t.name, Native: t.sign, Tunnel: t.policy.tunnel}
}

// refusal returns the code for the answer to the last upgrade: Unauthenticated
// for 401, PermissionDenied for 403 (as gRPC's own mapping of HTTP's), OK if
// there is another way or it was not refused so.
func (t *target) refusal() codes.Code {
	t.mu.Lock()
	defer t.mu.Unlock()
	var answer *wsconn.StatusError
	if t.way == Direct && t.living > 0 || !errors.As(t.policy.tunnel, &answer) || answer.Op != http.MethodGet {
		return codes.OK
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	}
	return codes.OK
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
