package wsconn

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

var (
	errHidden = errors.New("the URL cannot be parsed, it is not quoted since it may hold a password; " +
		"the characters %, /, ? and # of user and password must be escaped")

	errProxyURL = errors.New("the proxy's URL is not of the form http://user:password@host:port, " +
		"it is not quoted since it may hold a password; the characters %, /, ? and # of user and password must be escaped")
)

// shown returns u for an error: without user and password, either of which can
// be a secret.
func shown(u *url.URL) string {
	if u.User == nil {
		return u.String()
	}
	r := *u
	r.User = nil
	return r.String()
}

// quoted quotes a URL for an error, unless a user and password may be in it.
func quoted(rawURL string) string {
	if strings.Contains(rawURL, "@") {
		return "the URL, which is not quoted since it may hold a password,"
	}
	return fmt.Sprintf("%q", rawURL)
}

// parseError returns what to say of err, of url.Parse, which quotes all of
// rawURL or a part of it.
func parseError(rawURL string, err error) error {
	if strings.Contains(rawURL, "@") {
		return errHidden
	}
	return err
}

// checkProxy checks that u, of a proxy, has a host, and no @ that is meant to
// end a user and password but stands behind a character that ended the host.
func checkProxy(u *url.URL) error {
	if u.Host == "" || u.Opaque != "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		return errProxyURL
	}
	return nil
}

// hiddenError is an error whose text may hold a password.
type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }

func (e *hiddenError) Unwrap() error { return e.err }

// hideURL hides the text of err if it is about a URL that may hold a password.
// Packages net/url and httpproxy quote the whole URL, or a part of the password
// that they take for a port or an escape.
func hideURL(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if u := (*url.Error)(nil); errors.As(err, &u) || strings.Contains(text, "@") || strings.Contains(text, "proxy address") {
		return &hiddenError{errProxyURL.Error(), err}
	}
	return err
}

// hideUser takes user, of a proxy's URL, out of the text of err.
func hideUser(err error, user *url.Userinfo) error {
	if err == nil || user == nil {
		return err
	}
	password, _ := user.Password()
	was := err.Error()
	text := strings.NewReplacer(user.String()+"@", "", user.Username()+":"+password+"@", "").Replace(was)
	if text == was {
		return err
	}
	return &hiddenError{text, err}
}
