package cuts_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"culvert/listener"
)

const (
	servicePath = "/culvert.e2e.Cuts/"
	countKey    = "count"          // trailer of Upload and Download: how many messages there were
	bulkSize    = 64 << 10         // bytes of each message of Upload and Download
	waitTimeout = 15 * time.Second // for what happens in a second
	testTimeout = 50 * time.Second // for all RPCs of a test
)

// backend is a gRPC server in the clear that counts its connections.
type backend struct {
	addr     string
	accepted atomic.Int64
}

// counter counts the connections of a port.
type counter struct {
	net.Listener
	n *atomic.Int64
}

func (c counter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// serve serves tunnels until the test ends.
func serve(t *testing.T) *backend {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{addr: port.Addr().String()}
	lis := listener.Wrap(counter{port, &b.accepted}, &listener.Config{})
	srv := grpc.NewServer(append(lis.ServerOptions(), grpc.UnknownServiceHandler(handle))...)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("got %v from Serve, want nil", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		if err := lis.Shutdown(ctx); err != nil {
			t.Errorf("got %v from Shutdown, want nil", err)
		}
	})
	return b
}

// handle serves Echo, Upload and Download, as a grpc.UnknownServiceHandler.
func handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	switch path.Base(method) {
	case "Echo":
		_, err := echo(stream, stream.SendMsg)
		return err
	case "Upload":
		n, err := echo(stream, func(any) error { return nil })
		stream.SetTrailer(metadata.Pairs(countKey, strconv.FormatUint(n, 10)))
		return err
	case "Download":
		return download(stream)
	}
	return status.Errorf(codes.Unimplemented, "no method %s", method)
}

// echo answers each message, whose numbers have to be consecutive, and returns
// how many there were.
func echo(stream grpc.ServerStream, answer func(any) error) (count uint64, err error) {
	for next := uint64(0); ; count++ {
		var msg wrapperspb.BytesValue
		err := stream.RecvMsg(&msg)
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		n, err := number(msg.GetValue())
		if err == nil && count > 0 && n != next {
			err = fmt.Errorf("got message %d, want %d", n, next)
		}
		if err != nil {
			return count, status.Errorf(codes.DataLoss, "server: %v", err)
		}
		next = n + 1
		if err := answer(&msg); err != nil {
			return count, err
		}
	}
}

// download sends messages, as fast as they go, until the client closes its
// side, and then their count.
func download(stream grpc.ServerStream) error {
	closed := make(chan error, 1)
	go func() { closed <- stream.RecvMsg(&wrapperspb.BytesValue{}) }()
	for n := uint64(0); ; n++ {
		select {
		case err := <-closed:
			stream.SetTrailer(metadata.Pairs(countKey, strconv.FormatUint(n, 10)))
			if !errors.Is(err, io.EOF) {
				return status.Errorf(codes.DataLoss, "server: got %v from RecvMsg, want EOF", err)
			}
			return nil
		default:
		}
		if err := stream.SendMsg(message(n, bulkSize)); err != nil {
			return err
		}
	}
}

// noise is what messages are filled with, each from another offset.
var noise = func() []byte {
	b := make([]byte, bulkSize+1<<10)
	_, _ = rand.NewChaCha8([32]byte{'c', 'u', 't', 's'}).Read(b)
	return b
}()

// message is message n, of size bytes: its number and noise.
func message(n uint64, size int) *wrapperspb.BytesValue {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, size), n)
	return wrapperspb.Bytes(append(b, noise[n%(1<<10):][:size-8]...))
}

// number returns the number of a message that is whole.
func number(b []byte) (uint64, error) {
	if len(b) < 8 || len(b) > bulkSize {
		return 0, fmt.Errorf("got a message of %d bytes", len(b))
	}
	n := binary.BigEndian.Uint64(b)
	if !bytes.Equal(b, message(n, len(b)).GetValue()) {
		return 0, fmt.Errorf("got message %d with other bytes than were sent", n)
	}
	return n, nil
}
