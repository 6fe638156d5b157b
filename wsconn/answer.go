package wsconn

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Bounds of the excerpt of a body that a refusal carries.
const (
	maxExcerpt     = 1 << 10
	excerptTimeout = time.Second
)

// maxErrorText bounds how much of an answer that is not HTTP an error quotes.
const maxErrorText = 200

// errHeadTooLong says that the head of an answer exceeded Dialer.MaxHead.
var errHeadTooLong = errors.New("the head of the answer is too long")

// headReader limits how many bytes the head of an answer may take.
type headReader struct {
	r    io.Reader
	left int
}

func (h *headReader) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, errHeadTooLong
	}
	n, err := h.r.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}

// readAnswer reads the head of the answer to req. The returned reader holds
// what came after it; from then on it is limited no more.
func readAnswer(c net.Conn, maxHead int, req *http.Request) (*http.Response, *bufio.Reader, error) {
	limited := &headReader{r: c, left: maxHead}
	br := bufio.NewReaderSize(limited, min(maxHead, 4<<10))
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = fmt.Errorf("the connection was closed without one: %w", io.ErrUnexpectedEOF)
		}
		if text := err.Error(); len(text) > maxErrorText { // net/http quotes whole lines
			err = errors.New(clip(text, maxErrorText))
		}
		return nil, nil, err
	}
	limited.left = int(^uint(0) >> 1)
	return resp, br, nil
}

// statusError makes the error for resp, a refusal, with the beginning of its
// body if that comes soon.
func statusError(c net.Conn, resp *http.Response, op, target, proxy string) error {
	_ = c.SetReadDeadline(time.Now().Add(excerptTimeout))
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxExcerpt))
	return &StatusError{
		Op: op, Target: target, Proxy: proxy,
		StatusCode: resp.StatusCode, Status: clip(resp.Status, 80), Header: resp.Header,
		Body: string(body),
	}
}

// check101 checks that resp opens a WebSocket in answer to key (RFC 6455,
// Section 4.1), and returns the subprotocol or what was wrong. Tokens count,
// not spelling: "Connection: keep-alive, Upgrade" is as good as any.
func check101(resp *http.Response, key string, offered []string) (subprotocol, reason string) {
	h := resp.Header
	switch {
	case !resp.ProtoAtLeast(1, 1):
		return "", "the 101 is of " + resp.Proto
	case !hasToken(h, "Upgrade", "websocket"):
		return "", fmt.Sprintf("the 101 upgrades to %q", clip(h.Get("Upgrade"), 40))
	case !hasToken(h, "Connection", "upgrade"):
		return "", "the 101 has no Connection: Upgrade"
	case h.Get("Sec-WebSocket-Accept") == "":
		return "", "the 101 has no Sec-WebSocket-Accept"
	case strings.TrimSpace(h.Get("Sec-WebSocket-Accept")) != acceptKey(key):
		return "", "the 101 has the wrong Sec-WebSocket-Accept"
	case h.Get("Sec-WebSocket-Version") != "" && !hasToken(h, "Sec-WebSocket-Version", "13"):
		return "", "the 101 is of WebSocket version " + clip(h.Get("Sec-WebSocket-Version"), 40)
	case h.Get("Sec-WebSocket-Extensions") != "":
		return "", "the 101 has an extension that was not offered"
	}
	picked := h.Values("Sec-WebSocket-Protocol")
	switch {
	case len(picked) == 0 && len(offered) == 0:
		return "", ""
	case len(picked) == 0:
		return "", fmt.Sprintf("the 101 picks none of the subprotocols %s", joinTokens(offered))
	case len(picked) > 1 || !slices.Contains(offered, strings.TrimSpace(picked[0])):
		return "", fmt.Sprintf("the 101 picks a subprotocol that was not offered: %q", clip(strings.Join(picked, ", "), 80))
	}
	return strings.TrimSpace(picked[0]), ""
}

// acceptKey returns the proof that the server understood the handshake (RFC
// 6455, Section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hasToken reports whether a header that is a list of tokens holds one.
func hasToken(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

func joinTokens(tokens []string) string { return strings.Join(tokens, ", ") }
