package nginx_test

import (
	"testing"

	"github.com/pion/transport/v3/test"

	"culvert/e2e/interop"
	"culvert/listener"
)

// TestInterop runs grpc-go's interop cases through nginx, all of them in one
// WebSocket.
func TestInterop(t *testing.T) {
	for _, front := range fronts {
		t.Run(front.name, func(t *testing.T) {
			t.Cleanup(test.CheckRoutines(t))
			cfg := front.cfg
			cfg.Backend = serve(t, &listener.Config{})
			proxy, d := tunnel(t, cfg)
			interop.RunAll(t, interop.Target{Addr: proxy.Addr, Options: d.DialOptions()})
			if err := d.Close(); err != nil {
				t.Errorf("got %v from closing the dialer, want nil", err)
			}
			wantOneUpgrade(t, proxy)
		})
	}
}
