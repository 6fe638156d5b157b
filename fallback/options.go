package fallback

import (
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc"

	"culvert/internal/ready"
)

// modeVariable overrides Dialer.Mode.
const modeVariable = "CULVERT_MODE"

// DialOptions returns the options for grpc.NewClient: the dialer, the transport
// credentials, resolvers that wrap those of the schemes dns, passthrough, unix
// and unix-abstract and leave names to the proxy or the tunnel where there is
// one, interceptors that say in an RPC's error why there was no way, buffer
// sizes and a pool of buffers. Append your own options after these; leave out
// WithTransportCredentials and WithContextDialer.
func (d *Dialer) DialOptions() []grpc.DialOption {
	return append([]grpc.DialOption{
		grpc.WithContextDialer(d.dialGRPC),
		grpc.WithTransportCredentials(transportCredentials{d}),
		grpc.WithResolvers(d.resolvers()...),
		grpc.WithChainUnaryInterceptor(d.unaryExplained),
		grpc.WithChainStreamInterceptor(d.streamExplained),
	}, ready.DialOptions()...)
}

// mode returns the Mode after the environment had its say.
func (d *Dialer) mode() (Mode, error) {
	m, err := d.modeAsked()
	switch {
	case err != nil || d.InnerTLS == nil:
		return m, err
	case m == Native:
		return m, errors.New("fallback: InnerTLS is TLS inside the tunnel, and the mode is native")
	}
	return WebSocket, nil
}

// modeAsked returns what the environment asks for, or the Dialer.
func (d *Dialer) modeAsked() (Mode, error) {
	switch v := os.Getenv(modeVariable); v {
	case "":
		return d.Mode, nil
	case "auto":
		return Auto, nil
	case "native":
		return Native, nil
	case "websocket":
		return WebSocket, nil
	default:
		return d.Mode, fmt.Errorf("fallback: %s is %q, want auto, native or websocket", modeVariable, v)
	}
}
