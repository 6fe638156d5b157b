// Package squid runs Debian's squid in front of a test's server.
package squid

import (
	"maps"
	"os"
	"testing"

	"culvert/e2e/cert"
	"culvert/e2e/internal/program"
)

// Host is a name that squid resolves, to this machine, and nobody else.
const Host = "origin.test"

// AllowUpgrade has squid relay WebSockets. It compares the name as it is.
const AllowUpgrade = "http_upgrade_request_protocols websocket allow all\n"

// Config is how squid is to run. The zero value is a proxy for CONNECT.
type Config struct {
	// Lines of the configuration, before all are allowed in.
	Lines string
	// Files that the lines name, in {{.Dir}}.
	Files map[string]string
	// CA, if not nil, has squid open TLS with certificates that it signs, to
	// a server that has to have Origin.
	CA, Origin *cert.Pair
}

// Start runs squid until the test ends.
func Start(t *testing.T, cfg Config) *program.Process {
	t.Helper()
	p := program.Program{
		Command: "squid", Install: "squid-openssl",
		Args:  []string{"-N", "-n", "m{{.Port}}", "-f", "{{.Dir}}/squid.conf"},
		Files: map[string]string{"hosts": "127.0.0.1 " + Host + "\n"},
	}
	maps.Copy(p.Files, cfg.Files)
	port := "http_port {{.Addr}}"
	if cfg.CA != nil {
		port += bump
		p.Prepare = []string{"{{.Certgen}}", "-c", "-s", "{{.Dir}}/ssl_db", "-M", "4MB"}
		p.Files["ca.pem"], p.Files["ca.key"] = cfg.CA.PEM()
		p.Files["origin.pem"], _ = cfg.Origin.PEM()
	}
	p.Files["squid.conf"] = port + "\n" + cfg.Lines + rest
	user := ""
	if os.Geteuid() == 0 {
		user = "cache_effective_user proxy"
	}
	return p.Start(t, map[string]string{"Certgen": "/usr/lib/squid/security_file_certgen", "User": user})
}

// bump follows the port.
const bump = ` ssl-bump tls-cert={{.Dir}}/ca.pem tls-key={{.Dir}}/ca.key generate-host-certificates=on
sslcrtd_program {{.Certgen}} -s {{.Dir}}/ssl_db -M 4MB
sslcrtd_children 2
ssl_bump bump all
tls_outgoing_options cafile={{.Dir}}/origin.pem`

// rest is the end of every configuration.
const rest = `
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
`
