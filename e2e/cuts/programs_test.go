package cuts_test

// nginx is what its documentation says about WebSocket, with timeouts. A reload
// makes the workers that were there cut what they still have after 100 ms.
var nginx = frontend{
	command: "nginx", install: "nginx-light",
	args: []string{"-p", ".", "-c", "config", "-e", "error.log"},
	log:  "error.log",
	config: `
daemon off;
worker_processes 1;
worker_shutdown_timeout 100ms;
{{if .Root}}user root root;{{end}}
pid nginx.pid;
error_log error.log info;
events { worker_connections 256; }
http {
	access_log access.log;
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
		listen {{.Addr}} ssl;
		ssl_certificate cert.pem;
		ssl_certificate_key key.pem;
		location /culvert {
			proxy_pass http://{{.Backend}};
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_set_header Host $http_host;
			proxy_read_timeout {{.Timeout}};
			proxy_send_timeout {{.Timeout}};
		}
	}
}
`,
}

// haproxy writes how each request ended, with its status, to its output.
var haproxy = frontend{
	command: "haproxy", install: "haproxy",
	args: []string{"-db", "-f", "config"},
	log:  "output",
	config: `
global
	log stdout format raw local0 info
defaults
	mode http
	log global
	log-format "ended %ts status %ST after %Tt ms"
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	timeout tunnel {{.Timeout}}
frontend front
	bind {{.Addr}} ssl crt both.pem
	default_backend back
backend back
	server origin {{.Backend}}
`,
}
