package differential

import (
	"crypto/sha1"
	"encoding/base64"
	"net"
	"net/http"
)

// switched is a RoundTripper that answers every upgrade with a right 101,
// after which the stream is its connection.
type switched struct{ conn net.Conn }

func (s switched) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: "101 Switching Protocols", StatusCode: http.StatusSwitchingProtocols,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Body: s.conn,
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Accept": {accept(r.Header.Get("Sec-WebSocket-Key"))},
		},
	}, nil
}

// accept is the proof of RFC 6455, Section 4.2.2.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
