package fallback_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"culvert/fallback"
)

// TestProxySecret keeps the password of a proxy out of errors and Status.
func TestProxySecret(t *testing.T) {
	for _, raw := range []string{"http://user:s3cret@127.0.0.1:1", "user:s3cret%X@proxy.test:1", "http://user:s3cret%X@proxy.test:1"} {
		d := &fallback.Dialer{Insecure: true, Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(raw) }}
		_, err := d.DialContext(context.Background(), "host.test:1")
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want an error without the password", raw, err)
		}
		if last := d.Status("host.test:1").LastError; last == nil || strings.Contains(last.Error(), "s3cret") {
			t.Errorf("%s: got LastError %v, want one without the password", raw, last)
		}
		_ = d.Close()
	}
}
