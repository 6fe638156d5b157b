// Package interop runs grpc-go's interop cases, those that need no cloud,
// against any gRPC channel, as subtests.
//
// The cases are the functions of google.golang.org/grpc/interop, described in
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md.
// A test package calls CatchFatal in TestMain, serves NewServer on its listener
// and hands the way to it to RunAll.
package interop

import (
	"context"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // registers the compressor of the gzip cases
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// orcaConfig selects the balancer that grpc-go's interop package registers to
// collect ORCA load reports.
const orcaConfig = `{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`

// pickFirstConfig names grpc-go's default balancer, which the case is about.
const pickFirstConfig = `{"loadBalancingConfig":[{"pick_first":{}}]}`

// Case is one interop case.
type Case struct {
	Name          string // as grpc-go's interop client calls it
	ServiceConfig string // default service config that the channel needs; may be empty
	run           func(context.Context, *channel)
}

// channel is what a Case runs on: a ClientConn of its own, and the way to more.
type channel struct {
	testgrpc.TestServiceClient
	conn *grpc.ClientConn
	dial func() (*grpc.ClientConn, func())
	addr string
}

// Cases returns every case that needs no cloud, in the order of grpc-go's
// interop client. Those that end in _gzip are its cases with compressed
// requests and answers.
func Cases() []Case {
	return []Case{
		{Name: "empty_unary", run: plain(interop.DoEmptyUnaryCall)},
		{Name: "large_unary", run: plain(interop.DoLargeUnaryCall)},
		{Name: "large_unary_gzip", run: gzipped(interop.DoLargeUnaryCall)},
		{Name: "client_streaming", run: plain(interop.DoClientStreaming)},
		{Name: "client_streaming_gzip", run: gzipped(interop.DoClientStreaming)},
		{Name: "server_streaming", run: plain(interop.DoServerStreaming)},
		{Name: "server_streaming_gzip", run: gzipped(interop.DoServerStreaming)},
		{Name: "ping_pong", run: plain(interop.DoPingPong)},
		{Name: "ping_pong_gzip", run: gzipped(interop.DoPingPong)},
		{Name: "empty_stream", run: plain(interop.DoEmptyStream)},
		{Name: "timeout_on_sleeping_server", run: plain(interop.DoTimeoutOnSleepingServer)},
		{Name: "cancel_after_begin", run: plain(interop.DoCancelAfterBegin)},
		{Name: "cancel_after_first_response", run: plain(interop.DoCancelAfterFirstResponse)},
		{Name: "status_code_and_message", run: plain(interop.DoStatusCodeAndMessage)},
		{Name: "special_status_message", run: plain(interop.DoSpecialStatusMessage)},
		{Name: "custom_metadata", run: plain(interop.DoCustomMetadata)},
		{Name: "unimplemented_method", run: func(ctx context.Context, ch *channel) {
			interop.DoUnimplementedMethod(ctx, ch.conn)
		}},
		{Name: "unimplemented_service", run: func(ctx context.Context, ch *channel) {
			interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(ch.conn))
		}},
		{Name: "pick_first_unary", ServiceConfig: pickFirstConfig, run: func(ctx context.Context, ch *channel) {
			interop.DoPickFirstUnary(ctx, ch)
		}},
		{Name: "rpc_soak", run: func(ctx context.Context, ch *channel) {
			soak(ctx, ch, func() (*grpc.ClientConn, func()) { return ch.conn, func() {} })
		}},
		{Name: "channel_soak", run: func(ctx context.Context, ch *channel) {
			soak(ctx, ch, ch.dial)
		}},
		{Name: "orca_per_rpc", ServiceConfig: orcaConfig, run: func(ctx context.Context, ch *channel) {
			interop.DoORCAPerRPCTest(ctx, ch)
		}},
		{Name: "orca_oob", ServiceConfig: orcaConfig, run: func(ctx context.Context, ch *channel) {
			interop.DoORCAOOBTest(ctx, ch)
		}},
	}
}

// do is the form of most of grpc-go's cases.
type do func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)

// plain runs a case as it is.
func plain(f do) func(context.Context, *channel) {
	return func(ctx context.Context, ch *channel) { f(ctx, ch) }
}

// gzipped runs a case with compressed requests, which the server answers in
// kind.
func gzipped(f do) func(context.Context, *channel) {
	return func(ctx context.Context, ch *channel) { f(ctx, ch, grpc.UseCompressor("gzip")) }
}

// soak makes 20 large unary calls from two workers, each on the channel that
// channelFor returns, and allows no failure. The latency allowed is far above
// what any of them takes: the machine may be busy, but nothing may hang.
func soak(ctx context.Context, ch *channel, channelFor func() (*grpc.ClientConn, func())) {
	interop.DoSoakTest(ctx, interop.SoakTestConfig{
		RequestSize:                      271828,
		ResponseSize:                     314159,
		PerIterationMaxAcceptableLatency: 10 * time.Second,
		OverallTimeout:                   caseTimeout,
		ServerAddr:                       ch.addr,
		NumWorkers:                       2,
		Iterations:                       20,
		ChannelForTest:                   channelFor,
	})
}
