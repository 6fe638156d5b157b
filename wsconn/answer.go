package wsconn

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
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

// maxInterim bounds the interim answers before a final one.
const maxInterim = 5

var (
	// errHeadTooLong says that the head of an answer exceeded Dialer.MaxHead.
	errHeadTooLong = errors.New("the head of the answer is too long")

	errTooManyInterim = fmt.Errorf("more than %d interim answers", maxInterim)
)

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

// answers reads the answers that come on a connection. Its br holds what came
// after the last head.
type answers struct {
	limited headReader
	br      *bufio.Reader
	maxHead int
}

func newAnswers(c net.Conn, maxHead int) *answers {
	a := &answers{limited: headReader{r: c}, maxHead: maxHead}
	a.br = bufio.NewReaderSize(&a.limited, min(maxHead, 4<<10))
	return a
}

// next reads the head of the final answer to req; its body is not limited. The
// body of the last answer must have been read.
func (a *answers) next(req *http.Request) (*http.Response, error) {
	for range maxInterim + 1 {
		a.limited.left = a.maxHead
		resp, err := http.ReadResponse(a.br, req)
		if err != nil {
			return nil, answerError(err)
		}
		a.limited.left = math.MaxInt
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, errTooManyInterim
}

// answerError returns what to say of err, which came instead of an answer.
func answerError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = fmt.Errorf("the connection was closed without one: %w", io.ErrUnexpectedEOF)
	}
	if text := err.Error(); len(text) > maxErrorText { // net/http quotes whole lines
		err = errors.New(clip(text, maxErrorText))
	}
	return err
}

// excerpt returns the beginning of the body of resp, which came on c, as far
// as it comes within a time. Reading from c ends then, or with ctx.
func excerpt(ctx context.Context, c net.Conn, resp *http.Response, timeout time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	if ctx.Err() != nil { // within may have interrupted c just before
		_ = c.SetReadDeadline(longAgo)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxExcerpt))
	return string(body), err
}

// statusError makes the error for resp, a refusal whose body begins with body.
func statusError(resp *http.Response, op, target, proxy, body string) *StatusError {
	return &StatusError{
		Op: op, Target: target, Proxy: proxy,
		StatusCode: resp.StatusCode, Status: clip(resp.Status, 80), Header: resp.Header,
		Body: body,
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
