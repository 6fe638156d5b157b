// Package cuts runs RPCs through real proxies that cut the WebSocket beneath
// them, by a timeout, a reload or a restart: no RPC may notice.
package cuts
