// Package endpoint is a URL that load may go to: what is asked there, the one
// address that its connections are made to, and which answers are right. It
// sends nothing to a host that was not allowed by name, and looks none up. It
// knows requests and answers, not what they mean.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"bakeoff/internal/consent"
)

// Endpoint is one URL as an engine gets it.
type Endpoint struct {
	Base   string   // scheme and host, as they are sent to the server
	Dial   string   // address and port, checked; or unix: and the path of a socket
	Target []string // request target, cut where a key goes
}

// keyMark is in a URL where a key goes.
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
//
// What is asked for is what was typed: nothing is decoded and encoded again, and only bytes that no
// request may hold are percent-encoded (RFC 3986).
func At(ctx context.Context, r consent.Resolver, raw string, allowed []string) (Endpoint, error) {
	found, err := Route{Allowed: allowed}.Find(ctx, r, raw)
	if err != nil {
		return Endpoint{}, err
	}
	return found[0], nil
}

// apart takes a URL apart; the error is an InvalidError.
func apart(raw string) (u *url.URL, port uint16, target string, err error) {
	server, target := cutTarget(raw)
	u, err = url.Parse(server)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // without the URL, which may hold a password
		}
		return nil, 0, "", &InvalidError{Err: err}
	}
	port, err = checkURL(u)
	if err == nil {
		u.Host = ascii(u)
	}
	if err == nil && strings.Contains(target, "#") {
		err = errors.New("a fragment is never sent")
	}
	if err != nil {
		u.User = nil
		return nil, 0, "", &InvalidError{u.String() + target, err}
	}
	return u, port, target, nil
}

// ascii is the URL's host and port, an internationalised name as servers and the Domain Name System know it.
func ascii(u *url.URL) string {
	host := u.Hostname()
	if strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0 {
		return u.Host
	}
	return consent.Name(host) + strings.TrimPrefix(u.Host, host)
}

// URL is what is asked for, {key} where a key goes.
func (e Endpoint) URL() string { return e.Base + strings.Join(e.Target, keyMark) }

// Fixed is the endpoint where no place is for a key: {key} in its URL is a text like any other.
func (e Endpoint) Fixed() Endpoint {
	e.Target = []string{strings.Join(e.Target, url.PathEscape(keyMark))}
	return e
}

// cutTarget cuts a URL behind its host.
func cutTarget(raw string) (server, target string) {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return raw, ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return raw[:len(raw)-len(rest)+i], rest[i:]
	}
	return raw, ""
}

// checkURL returns the port of a URL that can be asked.
func checkURL(u *url.URL) (port uint16, err error) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return 0, fmt.Errorf("the scheme is neither http nor https")
	case u.Hostname() == "":
		return 0, fmt.Errorf("there is no host")
	case u.User != nil:
		return 0, fmt.Errorf("credentials belong in --header 'Authorization: ...'")
	}
	text := u.Port()
	if text == "" {
		text = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("the port is not a number from 1 to 65535")
	}
	return uint16(n), nil
}

// targetOf is the request target of what follows a URL's host, cut where a key goes.
func targetOf(text string) []string {
	if !strings.HasPrefix(text, "/") {
		text = "/" + text
	}
	parts := strings.Split(text, keyMark)
	for i, part := range parts {
		parts[i] = legal(part)
	}
	return parts
}

// legal percent-encodes the bytes that no request target may hold (RFC 3986, 2 and 3.4); square brackets, which
// it allows elsewhere and servers everywhere, stay.
func legal(text string) string {
	const others = "-._~:/?[]@!$&'()*+,;="
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		escape := c == '%' && i+2 < len(text) && hexadecimal(text[i+1]) && hexadecimal(text[i+2])
		if escape || isAlphanumeric(c) || strings.IndexByte(others, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func hexadecimal(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
