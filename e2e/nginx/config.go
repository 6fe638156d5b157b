package nginx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"culvert/e2e/cert"
)

// Config is what a test says about the proxy. The zero value passes requests
// for the default tunnel path on to nobody and answers them with 502.
type Config struct {
	Addr    string     // host:port to listen on; "" a free port of 127.0.0.1
	Backend string     // host:port that speaks HTTP/1.1 in the clear; "" nobody
	Cert    *cert.Pair // what nginx presents; nil: a new one
	HTTP2   bool       // offer h2 to clients
	Path    string     // what is passed on, by prefix; "" means "/culvert"
	User    string     // user:password of Basic auth; "" asks for none
}

// settings are what the template is filled with.
type settings struct {
	Config
	Dir, Listen, CertFile, KeyFile string
	Root                           bool
}

// conf is what nginx's documentation says about WebSocket
// (nginx.org/en/docs/http/websocket.html), with TLS in front. All that nginx
// writes stays in its own directory. Its worker stays the user that runs the
// test, who may be root and whose directory nobody else can read.
var conf = template.Must(template.New("nginx.conf").Parse(`
daemon off;
worker_processes 1;
{{if .Root}}user root root;{{end}}
pid nginx.pid;
error_log error.log info;
events { worker_connections 256; }
http {
	log_format hops '$status $request_method $uri $server_protocol "$http_upgrade"';
	access_log access.log hops;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;

	map $http_upgrade $connection_upgrade {
		default upgrade;
		''      close;
	}

	server {
		listen {{.Listen}} ssl{{if .HTTP2}} http2{{end}};
		ssl_certificate {{.CertFile}};
		ssl_certificate_key {{.KeyFile}};
		root {{.Dir}}/empty;

		location {{.Path}} {
			{{- if .User}}
			auth_basic "e2e";
			auth_basic_user_file {{.Dir}}/users;
			{{- end}}
			proxy_pass http://{{if .Backend}}{{.Backend}}{{else}}unix:{{.Dir}}/nobody.sock:{{end}};
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
		}
	}
}
`))

// write puts the configuration and the files that it names into dir.
func (cfg Config) write(t testing.TB, dir, addr string) {
	t.Helper()
	s := settings{Config: cfg, Dir: dir, Listen: addr, Root: os.Geteuid() == 0}
	if s.Path == "" {
		s.Path = "/culvert"
	}
	if s.Cert == nil {
		s.Cert = cert.New(t)
	}
	s.CertFile, s.KeyFile = s.Cert.Write(t, dir)
	var text strings.Builder
	if err := conf.Execute(&text, s); err != nil {
		t.Fatalf("nginx: writing the configuration: %v", err)
	}
	user, password, _ := strings.Cut(cfg.User, ":")
	for name, content := range map[string]string{
		"nginx.conf": text.String(),
		"users":      user + ":{PLAIN}" + password + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatalf("nginx: %v", err)
		}
	}
}
