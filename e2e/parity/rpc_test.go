package parity_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// limit is how long an RPC may take that has no deadline of its own.
const limit = 6 * time.Second

// shown is what an RPC shows to its caller.
type shown struct {
	code    codes.Code
	message string
	details int
	said    string // by the server: authority and client
	meta    string // header and trailer
}

// rpc makes one.
type rpc func(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) shown

func show(err error, said string, header, trailer metadata.MD) shown {
	st := status.Convert(err)
	return shown{
		code: st.Code(), message: st.Message(), details: len(st.Details()), said: said,
		meta: fmt.Sprint(header.Get("parity"), trailer.Get("parity"), len(trailer.Get("parity-bin"))),
	}
}

// unary asks for something.
func unary(how string) rpc { return method("/parity.Service/Call", how) }

// method calls any method.
func method(name, how string) rpc {
	return func(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) shown {
		var header, trailer metadata.MD
		var reply wrapperspb.StringValue
		err := cc.Invoke(ctx, name, wrapperspb.String(how), &reply, append(opts, grpc.Header(&header), grpc.Trailer(&trailer))...)
		if len(how) > 0 && how[0] >= '0' && how[0] <= '9' {
			return show(err, fmt.Sprint(len(reply.GetValue())), header, trailer)
		}
		return show(err, reply.GetValue(), header, trailer)
	}
}

// sized sends and wants messages of n bytes.
func sized(n int) rpc {
	return func(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) shown {
		s := method("/parity.Service/Call", strings.Repeat("x", n))(ctx, cc, opts...)
		return s
	}
}

// bidi says something three times, waiting for each answer.
func bidi(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) shown {
	st, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/parity.Service/Chat", opts...)
	if err != nil {
		return show(err, "", nil, nil)
	}
	var said []string
	for range 3 {
		var reply wrapperspb.StringValue
		if err = st.SendMsg(wrapperspb.String("a")); err == nil || strings.Contains(err.Error(), "EOF") {
			err = st.RecvMsg(&reply)
		}
		if err != nil {
			return show(err, strings.Join(said, " "), nil, st.Trailer())
		}
		said = append(said, reply.GetValue())
	}
	_ = st.CloseSend()
	_ = st.RecvMsg(&wrapperspb.StringValue{})
	return show(nil, strings.Join(said, " "), nil, st.Trailer())
}

// within gives the RPC a deadline.
func within(d time.Duration, r rpc) rpc {
	return func(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) shown {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return r(ctx, cc, opts...)
	}
}

// cancelled ends the RPC after d.
func cancelled(d time.Duration, r rpc) rpc {
	return func(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) shown {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		time.AfterFunc(d, cancel)
		return r(ctx, cc, opts...)
	}
}

// many makes n RPCs, one after the other, and shows the first that fails.
func many(n int, r rpc) rpc {
	return func(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) (s shown) {
		for range n {
			if s = r(ctx, cc, opts...); s.code != codes.OK {
				break
			}
		}
		return s
	}
}

// at once makes n RPCs at a time.
func atOnce(n int, r rpc) rpc {
	return func(ctx context.Context, cc *grpc.ClientConn, opts ...grpc.CallOption) (s shown) {
		all := make(chan shown)
		for range n {
			go func() { all <- r(ctx, cc, opts...) }()
		}
		for range n {
			if one := <-all; one.code != codes.OK || s.said == "" {
				s = one
			}
		}
		return s
	}
}

// does has the client make r.
func does(r rpc) part { return func(w *world) { w.rpc = r } }

// calls adds options of the RPC.
func calls(o ...grpc.CallOption) part {
	return func(w *world) { w.callOpts = append(w.callOpts, o...) }
}
