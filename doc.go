// Package culvert carries gRPC where HTTP/2 cannot pass.
//
// gRPC needs HTTP/2 from end to end. A proxy that opens TLS, an ingress that
// speaks HTTP/1.1 to the pod, or a balancer that downgrades breaks it. culvert
// turns one WebSocket (HTTP/1.1) into a net.Conn, layers yamux streams on it,
// and lets gRPC's own HTTP/2 frames ride inside, unchanged: nothing is
// transcoded.
//
// The packages, from the top down:
//
//   - [culvert/fallback]: the client; dial options for grpc.NewClient.
//   - [culvert/listener]: the server; a net.Listener that hands out native
//     connections and tunnel streams alike.
//   - [culvert/mux]: many net.Conns over one, by yamux.
//   - [culvert/resume]: a byte stream that outlives the WebSocket which carries
//     it.
//   - [culvert/wsconn]: one WebSocket (RFC 6455) as a net.Conn.
//
// ARCHITECTURE.md shows how they fit together, docs/PROTOCOL.md what is on the
// wire.
package culvert
