// Package endpoint is a URL that load may go to: what is asked there, the one
// address that its connections are made to, and which answers are right. It
// sends nothing to a host that was not allowed by name, and looks none up. It
// knows requests and answers, not what they mean.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"bakeoff/internal/consent"
)

// Endpoint is one URL as an engine gets it.
type Endpoint struct {
	Base   string   // scheme and host, as the server is told
	Dial   string   // address and port, checked
	Target []string // request target, cut where a key goes
}

// keyMark stands in a URL where a key goes.
const keyMark = "{key}"

// InvalidError is a URL that cannot be asked.
type InvalidError struct {
	URL string // without credentials; empty where it cannot be taken apart
	Err error
}

func (e *InvalidError) Error() string {
	if e.URL == "" {
		return fmt.Sprintf("URL: %v", e.Err)
	}
	return fmt.Sprintf("%q: %v", e.URL, e.Err)
}

func (e *InvalidError) Unwrap() error { return e.Err }

// At takes a URL apart and finds the one address that its connections are
// made to. The error is an InvalidError, a consent.RefusedError, or of a look-up that failed.
func At(ctx context.Context, r consent.Resolver, raw string, allowed []string) (Endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // without the URL, which may hold a password
		}
		return Endpoint{}, &InvalidError{Err: err}
	}
	port, err := checkURL(u)
	if err != nil {
		u.User = nil
		return Endpoint{}, &InvalidError{u.String(), err}
	}
	e := Endpoint{Base: u.Scheme + "://" + u.Host}
	if e.Target, err = targetOf(u); err != nil {
		return Endpoint{}, &InvalidError{raw, err}
	}
	address, err := consent.Lookup(ctx, r, u.Hostname(), port, allowed)
	if err != nil {
		return Endpoint{}, err
	}
	e.Dial = netip.AddrPortFrom(address, port).String()
	return e, nil
}

// checkURL returns the port of a URL that can be asked.
func checkURL(u *url.URL) (port uint16, err error) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return 0, fmt.Errorf("the scheme is neither http nor https")
	case u.Hostname() == "":
		return 0, fmt.Errorf("there is no host")
	case u.User != nil:
		return 0, fmt.Errorf("credentials belong into --header 'Authorization: ...'")
	case u.Fragment != "":
		return 0, fmt.Errorf("a fragment is never sent")
	}
	text := u.Port()
	if text == "" {
		text = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("the port is no number from 1 to 65535")
	}
	return uint16(n), nil
}

// targetOf is the request target of a URL, cut where a key goes.
func targetOf(u *url.URL) ([]string, error) {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	target := strings.ReplaceAll(path, url.PathEscape(keyMark), keyMark)
	if u.RawQuery != "" || u.ForceQuery {
		target += "?" + u.RawQuery
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			return nil, fmt.Errorf("%q must be percent-encoded", target)
		}
	}
	return strings.Split(target, keyMark), nil
}
