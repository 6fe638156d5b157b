package wsconn_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http/httpproxy"

	"culvert/wsconn"
)

// TestNoPasswordInErrors dials with a user and a password in the URLs of the
// server and of the proxy, right and wrong ones. No error has either in it.
func TestNoPasswordInErrors(t *testing.T) {
	nobody := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody there") }
	check := func(t *testing.T, d *wsconn.Dialer, rawURL string) {
		t.Helper()
		d.DialContext = nobody
		_, err := d.Dial(t.Context(), rawURL)
		if err == nil {
			t.Fatal("got no error")
		}
		for _, secret := range []string{"us3r", "S3same", "S3", "57", "96", "%X", "%Z"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q is in %q", secret, err)
			}
		}
	}
	for _, info := range []string{
		"us3r:S3same@", "us3r:S3%Xsame@", "us3r:S3%ZZsame@", "us3r:S3/same@", "us3r:57/96@", "us3r:57?96@", "us3r:57#96@",
		"us3r:S3 same@", "us3r@", ":S3same@", "us3r:57/9@96@", "us3r:S3\x7fsame@", "us3r:[S3same@", "us3r:S3\\same@",
	} {
		for _, scheme := range []string{"", "http://", "https://", "socks5://", "socks4://", "//"} {
			t.Run("environment "+scheme+info, func(t *testing.T) {
				choose := (&httpproxy.Config{HTTPProxy: scheme + info + "proxy.invalid:8080"}).ProxyFunc()
				check(t, &wsconn.Dialer{Proxy: func(r *http.Request) (*url.URL, error) { return choose(r.URL) }}, "ws://api.invalid/")
			})
			t.Run("parsed "+scheme+info, func(t *testing.T) {
				check(t, &wsconn.Dialer{Proxy: func(*http.Request) (*url.URL, error) {
					return url.Parse(scheme + info + "proxy.invalid:8080")
				}}, "ws://api.invalid/")
				check(t, &wsconn.Dialer{Proxy: func(*http.Request) (*url.URL, error) {
					_, err := url.Parse(scheme + info + "%zz")
					return nil, fmt.Errorf("invalid proxy address %q: %w", scheme+info, err)
				}}, "ws://api.invalid/")
			})
		}
		for _, scheme := range []string{"", "ws://", "wss://", "http://"} {
			t.Run("server "+scheme+info, func(t *testing.T) {
				check(t, &wsconn.Dialer{Proxy: direct}, scheme+info+"api.invalid/path")
				check(t, &wsconn.Dialer{Proxy: direct}, scheme+info+"api.invalid/path?\x00")
			})
		}
	}
}

// TestNoPasswordInAnswers has the server refuse, and a proxy's helper fail, with
// the password at hand.
func TestNoPasswordInAnswers(t *testing.T) {
	p := &teapot{}
	_, err := (&wsconn.Dialer{Proxy: direct, DialContext: p.dial}).Dial(t.Context(), "ws://us3r:S3same@api.invalid/path")
	if err == nil || strings.Contains(err.Error(), "us3r") || !strings.Contains(err.Error(), "ws://api.invalid/path") {
		t.Errorf("got %v, want the URL without user and password", err)
	}
	wrong := errors.New("wrong")
	for name, d := range map[string]*wsconn.Dialer{
		"ProxyHeader": {ProxyHeader: func(_ context.Context, u *url.URL, _ string) (http.Header, error) {
			return nil, fmt.Errorf("%w: %s", wrong, u)
		}},
		"ProxyAuth": {ProxyAuth: func(_ context.Context, u *url.URL, _ *http.Response) (http.Header, error) {
			return nil, fmt.Errorf("%w: %s", wrong, u)
		}},
	} {
		u := newProxy(t, nil, &proxy{user: "other:one"})
		u.User = url.UserPassword("us3r", "S3/same")
		d.Proxy = http.ProxyURL(u)
		_, err := d.Dial(t.Context(), "ws://api.invalid/")
		if !errors.Is(err, wrong) || strings.Contains(err.Error(), "us3r") || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "http://"+u.Host) {
			t.Errorf("%s: got %v, want %v without user and password", name, err, wrong)
		}
	}
}
