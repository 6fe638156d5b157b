package main

import (
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// TestContendersCarryBytes compares every byte that each contender carries,
// both ways.
func TestContendersCarryBytes(t *testing.T) {
	pair, err := newSecurity()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contenders(regexp.MustCompile("")) {
		t.Run(c.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			s, err := c.start(ctx, pair, codec{copies: c.secure})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			s.service.check = true
			conns, err := s.conns(ctx, 2)
			if err != nil {
				t.Fatal(err)
			}
			defer conns.Close()
			for _, cc := range conns.list {
				for _, size := range []int{1, 100, 64 << 10, 1 << 20} {
					echo(ctx, t, cc, size)
				}
			}
		})
	}
}

// echo makes a unary call and some ping-pong.
func echo(ctx context.Context, t *testing.T, cc *grpc.ClientConn, size int) {
	t.Helper()
	m := &message{size: size, check: true}
	if err := cc.Invoke(ctx, unaryMethod, m, m); err != nil {
		t.Fatal(err)
	}
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, pingMethod)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		m.size = size
		if err := stream.SendMsg(m); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(stream.RecvMsg(m), m.expect(size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(m); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want EOF", err)
	}
}

// TestSmoke runs everything as users do, and looks for what is left behind.
func TestSmoke(t *testing.T) {
	before := settledGoroutines()
	var stdout, stderr strings.Builder
	if status := run([]string{"-smoke", "-slice", "2ms", "-idle", "2"}, &stdout, &stderr); status != 0 {
		t.Fatalf("exit status %d, stderr:\n%s", status, &stderr)
	}
	everything := regexp.MustCompile("")
	want := 0
	for _, r := range rows(everything, 1) {
		want += len(r.metrics) * len(r.among(contenders(everything)))
	}
	if got := strings.Count(stdout.String(), "\n") - 5; got != want {
		t.Errorf("got %d lines, want %d:\n%s", got, want, &stdout)
	}
	if after := settledGoroutines(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// TestBrokenContender checks that one contender's failure is reported and
// leaves the others' figures.
func TestBrokenContender(t *testing.T) {
	broken := errors.New("out of order")
	list := []contender{
		{way{name: baselineName, listen: listenDirect}, false},
		{way{"broken", func(security) (*endpoint, error) { return nil, broken }}, false},
		{way{"deaf", func(security) (*endpoint, error) {
			e, err := listenDirect(security{})
			if err == nil {
				e.client = func(addr string) client {
					return clientOver(addr, func(context.Context, string) (net.Conn, error) { return nil, broken }, nil)
				}
			}
			return e, err
		}}, false},
	}
	r := &runner{rounds: 2, slice: time.Millisecond, progress: io.Discard}
	results, err := r.run(t.Context(), rows(regexp.MustCompile("ping"), 1)[0], list)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "deaf TCP") {
		t.Errorf("got error %v, want both contenders' in it", err)
	}
	if len(results) != 1 || results[0].Way != baselineName || len(results[0].Values) != 2 {
		t.Errorf("got %+v, want two rounds of %s alone", results, baselineName)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{
		"-nonsense", "extra", "-rounds x", "-rounds 0", "-slice 3", "-slice 1ns", "-idle 0",
		"-rows (", "-rows nosuchrow", "-contenders (", "-contenders nosuchway",
		"-check -smoke", "-tunnels 0", "-scale -json", "-scale -rows ping", "-check -contenders culvert", "-check -contenders direct",
	} {
		var stdout, stderr strings.Builder
		status := run(strings.Fields(args), &stdout, &stderr)
		if lines := strings.Count(stderr.String(), "\n"); status != 2 || lines != 1 || stdout.Len() > 0 {
			t.Errorf("%s: got status %d, stdout %q, stderr %q; want 2 and one line", args, status, &stdout, &stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr strings.Builder
	if status := run([]string{"-h"}, &stdout, &stderr); status != 0 || !strings.Contains(stdout.String(), "-smoke") || stderr.Len() > 0 {
		t.Errorf("got status %d, stdout %q, stderr %q", status, &stdout, &stderr)
	}
}
