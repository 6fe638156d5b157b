package resume

import (
	"net/http"
	"strings"
)

// Grant is what a client knows of its session. The zero value is none.
type Grant struct {
	Name     string // a secret
	Instance string // of the server that has the session; "" if the answer did not say
}

// Granted returns what an answer grants. Its Name is "" if that is nothing.
func Granted(answer http.Header) Grant {
	g := Grant{Name: SessionName(answer)}
	if g.Name != "" {
		g.Instance = answer.Get(headerInstance)
	}
	return g
}

// Refusal says what an answer other than 101 to a request to resume the session
// means: a *RefusedError is final, a *RetryError is if it goes on, and nil means
// that it may pass within Config.Window. docs/PROTOCOL.md has the table.
func (g Grant) Refusal(status int, answer http.Header, reason string) error {
	refused := &RefusedError{status, strings.TrimSpace(reason)}
	instance := answer.Get(headerInstance)
	switch {
	case status == http.StatusUnauthorized && instance != "":
		return &RetryError{Refused: refused, Instance: instance, kind: persists}
	case status != http.StatusBadRequest && status != http.StatusForbidden &&
		status != http.StatusNotFound && status != http.StatusConflict:
		return nil
	case instance == "" && (status == http.StatusNotFound || status == http.StatusConflict):
		return &RetryError{Refused: refused, kind: unnamed}
	case instance == "":
		return nil
	case instance != g.Instance:
		return &RetryError{Refused: refused, Instance: instance, kind: elsewhere}
	case status == http.StatusConflict:
		return &RetryError{Refused: refused, Instance: instance, kind: conflict}
	}
	return refused
}

// Received returns how many bytes the server says that it has received, in its
// 101 to a request to resume. The error is a *RetryError: a hop may have dropped
// the field, or another server, which does not resume, has answered.
func Received(answer http.Header) (uint64, error) {
	n, ok := number(answer, headerOffset)
	if !ok {
		return 0, &RetryError{
			Refused:  &RefusedError{http.StatusNotFound, "the server does not resume: its answer has no " + headerOffset},
			Instance: answer.Get(headerInstance),
			kind:     persists,
		}
	}
	return n, nil
}
