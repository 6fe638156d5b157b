package matrix_test

import (
	"net/http"
	"net/url"
	"testing"

	"culvert/e2e/internal/program"
	"culvert/e2e/internal/squid"
	"culvert/fallback"
)

// haproxy is TLS in front, with these settings on its bind and server lines.
func haproxy(bind, server string) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		certificate, key := s.front.PEM()
		p := program.Program{
			Command: "haproxy", Install: "haproxy",
			Args: []string{"-db", "-f", "{{.Dir}}/haproxy.cfg"},
			Files: map[string]string{
				"front.pem": certificate + key,
				"haproxy.cfg": `
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend front
	bind {{.Addr}} ssl crt {{.Dir}}/front.pem ` + bind + `
	default_backend back
backend back
	server origin {{.Origin}} ` + server + `
`,
			},
		}.Start(t, map[string]string{"Origin": s.clear})
		return inFront(s, p.Addr)
	}
}

// inFront is a target for which something at addr stands, that has the front
// certificate.
func inFront(s *stage, addr string) target {
	return target{addr: "localhost:" + portOf(addr), dialer: func() *fallback.Dialer {
		return &fallback.Dialer{TLS: s.front.Client.Clone()}
	}}
}

func caddy(t *testing.T, s *stage) target {
	certificate, key := s.front.PEM()
	p := program.Program{
		Command: "caddy", Install: "caddy",
		Args: []string{"run", "--adapter", "caddyfile", "--config", "{{.Dir}}/Caddyfile"},
		Files: map[string]string{
			"cert.pem": certificate, "key.pem": key,
			"Caddyfile": `
{
	admin off
	auto_https off
}
https://localhost:{{.Port}} {
	bind 127.0.0.1
	tls {{.Dir}}/cert.pem {{.Dir}}/key.pem
	reverse_proxy {{.Origin}}
}
`,
		},
	}.Start(t, map[string]string{"Origin": s.clear})
	return inFront(s, p.Addr)
}

// upgrading is what nginx's documentation says about WebSocket.
const upgrading = `
			proxy_pass http://{{.Origin}};
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_set_header Host $http_host;`

// nginx is TLS in front, with these settings on its listen line and in its
// location.
func nginx(listen, location string) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		certificate, key := s.front.PEM()
		p := program.Program{
			Command: "nginx", Install: "nginx-light",
			Args: []string{"-p", "{{.Dir}}", "-c", "{{.Dir}}/nginx.conf", "-e", "{{.Dir}}/error.log"},
			Files: map[string]string{
				"cert.pem": certificate, "key.pem": key,
				"nginx.conf": `
daemon off;
worker_processes 1;
pid {{.Dir}}/nginx.pid;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	map $http_upgrade $connection_upgrade {
		default upgrade;
		''      close;
	}
	server {
		listen {{.Addr}} ssl ` + listen + `;
		ssl_certificate {{.Dir}}/cert.pem;
		ssl_certificate_key {{.Dir}}/key.pem;
		location / {` + location + `
		}
	}
}
`,
			},
		}.Start(t, map[string]string{"Origin": s.clear})
		return inFront(s, p.Addr)
	}
}

// connect is squid as a CONNECT proxy with these lines in its configuration.
func connect(lines string) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		p := squid.Start(t, squid.Config{Lines: lines})
		return throughProxy(s, &url.URL{Scheme: "http", Host: p.Addr})
	}
}

// connectAuth asks for Basic credentials, and is given user, if that is not nil.
func connectAuth(user *url.Userinfo) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		p := squid.Start(t, squid.Config{
			Files: map[string]string{
				"auth.sh": "while read -r line; do [ \"$line\" = 'user right' ] && echo OK || echo ERR; done\n",
			},
			Lines: `
auth_param basic program /bin/sh {{.Dir}}/auth.sh
auth_param basic realm e2e
acl known proxy_auth REQUIRED
http_access deny !known
`,
		})
		return throughProxy(s, &url.URL{Scheme: "http", Host: p.Addr, User: user})
	}
}

// bump is squid that opens TLS, with these lines in its configuration. trusted
// clients have its CA among their roots.
func bump(lines string, trusted bool) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		p := squid.Start(t, squid.Config{Lines: lines, CA: s.front, Origin: s.origin})
		to := throughProxy(s, &url.URL{Scheme: "http", Host: p.Addr})
		if trusted {
			plain := to.dialer
			to.dialer = func() *fallback.Dialer {
				d := plain()
				d.TLS = s.front.Client.Clone()
				return d
			}
		}
		return to
	}
}

// throughProxy is the origin with TLS, by a name that the proxy alone knows.
func throughProxy(s *stage, proxy *url.URL) target {
	return target{addr: squid.Host + ":" + portOf(s.secure), dialer: func() *fallback.Dialer {
		return &fallback.Dialer{TLS: s.origin.Client.Clone(), Proxy: http.ProxyURL(proxy)}
	}}
}
