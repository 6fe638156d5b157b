package matrix_test

import (
	"net/url"
	"os"
	"testing"

	"culvert/fallback"
)

// haproxy is TLS in front, with these settings on its bind and server lines.
func haproxy(bind, server string) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		certificate, key := pem(t, s.front)
		addr := program{
			command: "haproxy", install: "haproxy",
			args: []string{"-db", "-f", "{{.Dir}}/haproxy.cfg"},
			files: map[string]string{
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
		}.start(t, map[string]string{"Origin": s.clear})
		return inFront(s, addr)
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
	certificate, key := pem(t, s.front)
	addr := program{
		command: "caddy", install: "caddy",
		args: []string{"run", "--adapter", "caddyfile", "--config", "{{.Dir}}/Caddyfile"},
		files: map[string]string{
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
	}.start(t, map[string]string{"Origin": s.clear})
	return inFront(s, addr)
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
		certificate, key := pem(t, s.front)
		addr := program{
			command: "nginx", install: "nginx-light",
			args: []string{"-p", "{{.Dir}}", "-c", "{{.Dir}}/nginx.conf", "-e", "{{.Dir}}/error.log"},
			files: map[string]string{
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
		}.start(t, map[string]string{"Origin": s.clear})
		return inFront(s, addr)
	}
}

// squid is a CONNECT proxy with these lines in its configuration.
func squid(lines string) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		addr := startSquid(t, s, "http_port {{.Addr}}\n"+lines, nil)
		return throughProxy(s, &url.URL{Scheme: "http", Host: addr})
	}
}

// squidAuth asks for Basic credentials, and is given user, if that is not nil.
func squidAuth(user *url.Userinfo) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		addr := startSquid(t, s, `http_port {{.Addr}}
auth_param basic program /bin/sh {{.Dir}}/auth.sh
auth_param basic realm e2e
acl known proxy_auth REQUIRED
http_access deny !known
`, nil)
		return throughProxy(s, &url.URL{Scheme: "http", Host: addr, User: user})
	}
}

// squidBump opens TLS, with these lines in its configuration. trusted clients
// have its CA among their roots.
func squidBump(lines string, trusted bool) func(*testing.T, *stage) target {
	return func(t *testing.T, s *stage) target {
		addr := startSquid(t, s, `http_port {{.Addr}} ssl-bump tls-cert={{.Dir}}/ca.pem tls-key={{.Dir}}/ca.key generate-host-certificates=on
sslcrtd_program {{.Certgen}} -s {{.Dir}}/ssl_db -M 4MB
sslcrtd_children 2
ssl_bump bump all
tls_outgoing_options cafile={{.Dir}}/origin.pem
`+lines, []string{"{{.Certgen}}", "-c", "-s", "{{.Dir}}/ssl_db", "-M", "4MB"})
		to := throughProxy(s, &url.URL{Scheme: "http", Host: addr})
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

// startSquid starts squid.
func startSquid(t *testing.T, s *stage, lines string, prepare []string) string {
	t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "cache_effective_user proxy"
	}
	ca, key := pem(t, s.front)
	origin, _ := pem(t, s.origin)
	return program{
		command: "squid", install: "squid-openssl",
		args:    []string{"-N", "-n", "m{{.Port}}", "-f", "{{.Dir}}/squid.conf"},
		prepare: prepare,
		files: map[string]string{
			"ca.pem": ca, "ca.key": key, "origin.pem": origin,
			"hosts":   "127.0.0.1 " + name + "\n",
			"auth.sh": "while read -r line; do [ \"$line\" = 'user right' ] && echo OK || echo ERR; done\n",
			"squid.conf": lines + `
http_access allow all
hosts_file {{.Dir}}/hosts
cache deny all
{{.User}}
visible_hostname squid.test
pid_filename {{.Dir}}/squid.pid
cache_log stdio:/dev/stderr
access_log none
netdb_filename none
shutdown_lifetime 0 seconds
pinger_enable off
coredump_dir {{.Dir}}
`,
		},
	}.start(t, map[string]string{"Certgen": "/usr/lib/squid/security_file_certgen", "User": user})
}

// throughProxy is the origin with TLS, by a name that the proxy alone knows.
func throughProxy(s *stage, proxy *url.URL) target {
	return target{addr: name + ":" + portOf(s.secure), dialer: func() *fallback.Dialer {
		return &fallback.Dialer{TLS: s.origin.Client.Clone(), Proxy: through(proxy)}
	}}
}
