package parity_test

import (
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
)

// env puts parts together.
func env(parts ...part) []part { return parts }

// Service configs.
const (
	roundRobin = `{"loadBalancingConfig":[{"round_robin":{}}]}`
	retries    = `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.01s","maxBackoff":"0.05s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`
	hurry      = `{"methodConfig":[{"name":[{}],"timeout":"0.2s"}]}`
	patient    = `{"methodConfig":[{"name":[{}],"waitForReady":true}]}`
)

func config(c string) part { return dialOpt(grpc.WithDefaultServiceConfig(c)) }

var ready = calls(grpc.WaitForReady(true))

// cells are the environments. A new report is a new line.
var cells = []cell{
	// Servers.
	{"culvert server", same, env(culvert)},
	{"culvert server, TLS", same, env(secure, culvert)},
	{"culvert server, bidi", same, env(culvert, does(bidi))},
	{"culvert server, TLS, bidi", same, env(secure, culvert, does(bidi))},
	{"grpc-go server", same, env(plain)},
	{"grpc-go server, TLS", same, env(secure, plain)},
	{"grpc-go server, bidi", same, env(plain, does(bidi))},
	{"grpc-go server, TLS, bidi", same, env(secure, plain, does(bidi))},
	{"50 RPCs at once", same, env(culvert, does(atOnce(50, unary(""))))},
	{"50 RPCs at once, grpc-go server", same, env(secure, plain, does(atOnce(50, unary(""))))},

	// What RPCs show.
	{"error with details", same, env(culvert, does(unary("fail")))},
	{"error with details, grpc-go server", same, env(secure, plain, does(unary("fail")))},
	{"unknown method", same, env(culvert, does(method("/parity.Service/No", "")))},
	{"unknown service", same, env(secure, culvert, does(method("/no.Service/No", "")))},
	{"unknown method, grpc-go server", same, env(plain, does(method("/parity.Service/No", "")))},
	{"bad method name", same, env(culvert, does(method("no slash", "")))},
	{"deadline", same, env(culvert, does(within(300*time.Millisecond, unary("hang"))))},
	{"cancelled", same, env(secure, culvert, does(cancelled(200*time.Millisecond, unary("hang"))))},
	{"1 MiB", same, env(secure, culvert, does(unary("1000000")))},
	{"1 MiB, gzip not registered", same, env(culvert, calls(grpc.UseCompressor("gzip-not-there")))},
	{"answer above the client's limit", same, env(culvert, does(unary("5000000")))},
	{"answer above a limit of its own", same, env(culvert, calls(grpc.MaxCallRecvMsgSize(100)), does(unary("1000")))},
	{"request above the server's limit", same, env(secure, culvert, serverOpt(grpc.MaxRecvMsgSize(10)), does(sized(100)))},
	{"retry policy", same, env(culvert, config(retries), does(unary("flaky")))},
	{"retry policy, grpc-go server, TLS", same, env(secure, plain, config(retries), does(unary("flaky")))},
	{"timeout of the service config", same, env(culvert, config(hurry), does(unary("hang")))},
	{"bad service config", same, env(culvert, config(`{"loadBalancingConfig": 1}`))},

	// Limits and keepalive.
	{"one stream at a time", same, env(culvert, serverOpt(grpc.MaxConcurrentStreams(1)), does(many(3, unary(""))))},
	{"one stream at a time, grpc-go server", same, env(secure, plain, serverOpt(grpc.MaxConcurrentStreams(1)), does(many(3, unary(""))))},
	{"header list limit", same, env(plain, serverOpt(grpc.MaxHeaderListSize(8192)))},
	{"small windows", same, env(secure, culvert, serverOpt(grpc.InitialWindowSize(64<<10), grpc.InitialConnWindowSize(64<<10)), does(unary("1000000")))},
	{"keepalive", same, env(culvert, dialOpt(grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second})), does(unary("slow")))},
	{"connections that end by age", same, env(culvert, serverOpt(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 150 * time.Millisecond, MaxConnectionAgeGrace: time.Second})), does(many(4, unary("slow"))))},
	{"idle client", same, env(secure, plain, dialOpt(grpc.WithIdleTimeout(time.Second)), does(many(2, unary("slow"))))},

	// Names and addresses.
	{"IPv6 loopback", same, env(loopback6)},
	{"IPv6 loopback, TLS elsewhere named", same, env(secure, loopback6, dialOpt(grpc.WithAuthority("api.test")))},
	{"localhost by name", same, env(secure, culvert, target("localhost:%s"))},
	{"port alone", same, env(culvert, target(":%s"))},
	{"dns:///", same, env(secure, culvert, named("dns:///api.test:%s", "api.test", "127.0.0.1"))},
	{"dns: without slashes", same, env(culvert, named("dns:api.test:%s", "api.test", "127.0.0.1"))},
	{"passthrough", same, env(secure, culvert, target("passthrough:///127.0.0.1:%s"))},
	{"passthrough of a name", same, env(culvert, named("passthrough:///api.test:%s", "api.test", "127.0.0.1"))},
	{"name that is not known", same, env(culvert, target("unknown.test:%s"))},
	{"port that is none", same, env(culvert, target("127.0.0.1:no%s"))},
	{"target without a host", same, env(culvert, target("dns:///"))},
	{"unix socket", same, env(socket("unix://%s", false))},
	{"unix socket, one slash", same, env(socket("unix:%s", false))},
	{"unix socket, bidi", same, env(socket("unix://%s", false), does(bidi))},
	{"abstract unix socket", same, env(socket("unix-abstract:%s", true))},
	{"unix socket, TLS for another name", same, env(secure, socket("unix://%s", false), dialOpt(grpc.WithAuthority("api.test")))},
	{"unix socket that is not there", same, env(culvert, target("unix:///nowhere/%s.sock"))},
	{"two names for one server", same, env(culvert, named("api.test:%s", "api.test", "127.0.0.1", "127.0.0.2"), dials(hosts{}))},

	// Authority.
	{"WithAuthority", same, env(culvert, dialOpt(grpc.WithAuthority("other.test")))},
	{"WithAuthority, TLS", same, env(secure, certified(true, apiOnly), culvert, dialOpt(grpc.WithAuthority("api.test")))},
	{"WithAuthority with a port, TLS", same, env(secure, certified(true, apiOnly), culvert, dialOpt(grpc.WithAuthority("api.test:99")))},
	{"WithAuthority, name not in the certificate", same, env(secure, certified(true, apiOnly), culvert, dialOpt(grpc.WithAuthority("other.test")))},
	{"TLS ServerName", same, env(secure, certified(true, apiOnly), culvert, clientTLS(func(_ *world, c *tls.Config) { c.ServerName = "api.test" }))},
	{"TLS ServerName and another authority", same, env(secure, culvert, clientTLS(func(_ *world, c *tls.Config) { c.ServerName = "api.test" }), dialOpt(grpc.WithAuthority("other.test")))},
	{"ServerName of the address", either, env(secure, certified(true, apiOnly), culvert, found("disco:///wrong.test", resolver.Address{Addr: "127.0.0.1:%s", ServerName: "api.test"}))},
	{"ServerName of the address and WithAuthority", either, env(secure, certified(true, apiOnly), culvert, found("disco:///wrong.test", resolver.Address{Addr: "127.0.0.1:%s", ServerName: "wrong.test"}), dialOpt(grpc.WithAuthority("api.test")))},
	{"resolver of the program's own", same, env(culvert, found("disco:///api.test", resolver.Address{Addr: "127.0.0.1:%s"}))},
	{"resolver of the program's own, TLS", same, env(secure, certified(true, apiOnly), culvert, found("disco:///api.test", resolver.Address{Addr: "127.0.0.1:%s"}))},
	{"resolver of the program's own, grpc-go server", same, env(secure, certified(true, apiOnly), plain, found("disco:///api.test", resolver.Address{Addr: "127.0.0.1:%s"}), does(bidi))},
	{"resolver of the program's own, no address", same, env(culvert, found("disco:///api.test"))},
	{"authority of a call", same, env(culvert, calls(grpc.CallAuthority("other.test")))},
	{"authority of a call, TLS", same, env(secure, culvert, target("localhost:%s"), calls(grpc.CallAuthority("api.test")))},

	// TLS.
	{"certificate of an unknown issuer", same, env(secure, certified(false, asIs), culvert)},
	{"certificate that has expired", same, env(secure, certified(true, expired), culvert)},
	{"certificate not valid yet", same, env(secure, certified(true, notYetValid), culvert)},
	{"certificate for another name", same, env(secure, certified(true, otherName), culvert)},
	{"certificate of a client", same, env(secure, certified(true, serverAuthNo), culvert)},
	{"SPIFFE ID", same, env(secure, certified(true, withSPIFFE), culvert)},
	{"client certificate", same, env(secure, wantsClient(true), culvert)},
	{"client certificate, grpc-go server", same, env(secure, wantsClient(true), plain)},
	{"client certificate that is missing", same, env(secure, wantsClient(false), culvert)},
	{"TLS 1.2", same, env(secure, serverTLS(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), culvert)},
	{"TLS versions that do not meet", same, env(secure, serverTLS(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), clientTLS(func(_ *world, c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), culvert)},
	{"certificates picked for each client", same, env(secure, serverTLS(func(c *tls.Config) {
		chosen := c.Clone()
		c.Certificates = nil
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
	}), culvert)},
	{"any certificate", same, env(secure, certified(false, otherName), clientTLS(func(_ *world, c *tls.Config) { c.InsecureSkipVerify = true }), culvert)},
	{"TLS client, cleartext server", same, env(culvert, with(func(w *world) { w.secure = true }))},
	{"cleartext client, TLS server", same, env(secure, plain, with(func(w *world) { w.secure = false }))},

	// Addresses that do not answer.
	{"first address refuses", same, env(culvert, dials(hosts{"127.0.0.3": refuses}), named("one.test:%s", "one.test", "127.0.0.3", "127.0.0.1"))},
	{"first address is a black hole", same, env(culvert, dials(hosts{"127.0.0.3": blackHole}), named("two.test:%s", "two.test", "127.0.0.3", "127.0.0.1"))},
	{"first address is far away", same, env(secure, culvert, dials(hosts{"127.0.0.3": far}), named("three.test:%s", "three.test", "127.0.0.3", "127.0.0.1"), dialOpt(grpc.WithAuthority("api.test")))},
	{"all addresses refuse", same, env(culvert, dials(hosts{"127.0.0.3": refuses, "127.0.0.4": refuses}), named("four.test:%s", "four.test", "127.0.0.3", "127.0.0.4"))},
	{"all addresses refuse, wait for ready", same, env(culvert, dials(hosts{"127.0.0.3": refuses}), named("five.test:%s", "five.test", "127.0.0.3"), ready, does(within(time.Second, unary(""))))},
	{"black hole alone", same, env(culvert, dials(hosts{"127.0.0.3": blackHole}), named("six.test:%s", "six.test", "127.0.0.3"), does(within(time.Second, unary(""))))},
	{"round robin over two", same, env(culvert, dials(hosts{}), named("seven.test:%s", "seven.test", "127.0.0.3", "127.0.0.4"), config(roundRobin), does(many(10, unary(""))))},
	{"round robin, one refuses", same, env(culvert, dials(hosts{"127.0.0.3": refuses}), named("eight.test:%s", "eight.test", "127.0.0.3", "127.0.0.1"), config(roundRobin), does(many(10, unary(""))))},
	{"round robin, one is a black hole", same, env(secure, culvert, dials(hosts{"127.0.0.3": blackHole}), named("nine.test:%s", "nine.test", "127.0.0.3", "127.0.0.1"), config(roundRobin), dialOpt(grpc.WithAuthority("api.test")), does(many(10, unary(""))))},
	{"round robin, resolver of the program's own", same, env(culvert, found("disco:///api.test", resolver.Address{Addr: "127.0.0.1:%s"}, resolver.Address{Addr: "127.0.0.2:1"}), config(roundRobin), does(many(10, unary(""))))},
	{"slow dial", same, env(culvert, dials(hosts{"127.0.0.1": far}))},
	{"nobody listens", same, env(culvert, target("127.0.0.1:1"))},
	{"server that starts late", same, env(late(700*time.Millisecond), config(patient))},
	{"server that restarts", same, env(secure, restarts(false))},
	{"grpc-go server that restarts", same, env(restarts(true))},
	{"connections that are cut", same, env(culvert, cuts)},

	// Fronts.
	{"front of HTTP/2", same, env(culvert, behind(through))},
	{"front of HTTP/2, bidi", same, env(culvert, behind(through), does(bidi))},
	{"routes by path, 404 elsewhere", same, env(plain, pathRoutes(statusOf(404)))},
	{"routes by path, 404 elsewhere, bidi", same, env(plain, pathRoutes(statusOf(404)), does(bidi))},
	{"routes by path, page elsewhere", same, env(culvert, pathRoutes(page))},
	{"routes by path, login elsewhere", same, env(culvert, pathRoutes(login))},
	{"routes by path, 400 elsewhere", same, env(plain, pathRoutes(statusOf(400)))},
	{"routes by path, 401 elsewhere", same, env(plain, pathRoutes(statusOf(401)))},
	{"routes by path, 403 elsewhere", same, env(plain, pathRoutes(statusOf(403)))},
	{"routes by path, 405 elsewhere", same, env(plain, pathRoutes(statusOf(405)))},
	{"routes by path, 411 elsewhere", same, env(plain, pathRoutes(statusOf(411)))},
	{"routes by path, 415 elsewhere", same, env(plain, pathRoutes(statusOf(415)))},
	{"routes by path, 426 elsewhere", same, env(plain, pathRoutes(statusOf(426)))},
	{"routes by path, 429 elsewhere", same, env(plain, pathRoutes(statusOf(429)))},
	{"routes by path, 500 elsewhere", same, env(plain, pathRoutes(statusOf(500)))},
	{"routes by path, 501 elsewhere", same, env(plain, pathRoutes(statusOf(501)))},
	{"routes by path, 502 elsewhere", same, env(plain, pathRoutes(statusOf(502)))},
	{"routes by path, 503 elsewhere", same, env(plain, pathRoutes(statusOf(503)))},
	{"routes by path, 505 elsewhere", same, env(plain, pathRoutes(statusOf(505)))},
	{"routes by path, silence elsewhere", same, env(plain, pathRoutes(hold))},
	{"routes by path, reset elsewhere", same, env(plain, pathRoutes(abort))},
	{"routes by host", same, env(plain, onlyHost("api.test"), dialOpt(grpc.WithAuthority("api.test")))},
	{"routes by host, 404 for the caller", same, env(plain, onlyHost("api.test"), dialOpt(grpc.WithAuthority("other.test")))},
	{"wants a field that RPCs lack", same, env(plain, onlyField("x-token", "t"))},
	{"404 to everything", same, env(plain, everything(statusOf(404)))},
	{"403 to everything", same, env(plain, everything(statusOf(403)))},
	{"503 to everything", same, env(plain, everything(statusOf(503)))},
	{"page for everything", same, env(plain, everything(page))},
	{"login for everything", same, env(plain, everything(login))},
	{"relay of bytes", same, env(secure, culvert, relayed(passes))},

	// HTTP/2 does not pass.
	{"downgrade", passes_, env(secure, culvert, plainBackend, downgrade)},
	{"downgrade, bidi", passes_, env(secure, culvert, plainBackend, downgrade, does(within(3*time.Second, bidi)))},
	{"downgrade, cleartext", passes_, env(culvert, downgrade)},
	{"no ALPN", passes_, env(secure, culvert, alpn())},
	{"ALPN http/1.1", passes_, env(secure, culvert, alpn("http/1.1"))},
	{"ClientHello with h2 is reset", passes_, env(secure, culvert, relayed(cutsH2))},
	{"ClientHello with h2 is dropped", passes_, env(secure, culvert, relayed(dropsH2), does(within(3*time.Second, unary(""))))},
	{"large ClientHello is reset", passes_, env(secure, culvert, relayed(cutsLarge))},

	// Proxies.
	{"HTTPS_PROXY", same, env(culvert, proxied(200, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p"), target("svc.test:%s"))},
	{"HTTPS_PROXY, TLS", same, env(secure, culvert, proxied(200, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p"), target("api.test:%s"))},
	{"https_proxy in small letters", same, env(culvert, proxied(200, ""), environment("https_proxy=127.0.0.1:%p"), target("svc.test:%s"))},
	{"HTTPS_PROXY, name known to it alone", same, env(culvert, proxied(200, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p"), target("inside.test:%s"))},
	{"HTTPS_PROXY with a password", same, env(secure, culvert, proxied(200, "dTpw"), environment("HTTPS_PROXY=http://u:p@127.0.0.1:%p"), target("api.test:%s"))},
	{"HTTPS_PROXY, 407", same, env(secure, culvert, proxied(200, "dTpw"), environment("HTTPS_PROXY=http://127.0.0.1:%p"), target("api.test:%s"))},
	{"HTTPS_PROXY, 403", same, env(culvert, proxied(403, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p"), target("svc.test:%s"))},
	{"HTTPS_PROXY that is not there", same, env(culvert, environment("HTTPS_PROXY=http://127.0.0.1:1"), target("svc.test:%s"))},
	{"HTTP_PROXY alone", same, env(culvert, proxied(403, ""), environment("HTTP_PROXY=http://127.0.0.1:%p"), target("svc.test:%s"))},
	{"NO_PROXY by name", same, env(culvert, proxied(403, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p", "NO_PROXY=svc.test"), target("svc.test:%s"))},
	{"NO_PROXY by domain", same, env(secure, culvert, proxied(403, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p", "NO_PROXY=.test"), target("api.test:%s"))},
	{"NO_PROXY by name and port", same, env(culvert, proxied(403, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p", "NO_PROXY=svc.test:%s"), target("svc.test:%s"))},
	{"NO_PROXY for all", same, env(culvert, proxied(403, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p", "NO_PROXY=*"), target("svc.test:%s"))},
	{"NO_PROXY by another name", same, env(culvert, proxied(200, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p", "NO_PROXY=other.test"), target("svc.test:%s"))},
	{"no proxy for loopback", same, env(culvert, proxied(403, ""), environment("HTTPS_PROXY=http://127.0.0.1:%p"), target("127.0.0.1:%s"))},
}
