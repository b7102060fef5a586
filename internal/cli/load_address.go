package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/plan"
)

// lookup is the part of net.Resolver that names are looked up with.
type lookup interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// aim is one URL of the command line as the engine gets it.
type aim struct {
	base   string   // scheme and host, as the server is told
	dial   string   // address and port, checked
	target []string // cut where a key goes
}

// keyMark stands in a URL where a key goes.
const keyMark = "{key}"

const urlHint = "a URL is such as http://127.0.0.1:8080/path?query, and {key} in it takes keys of --keys"

// aimAt checks a URL and finds the one address that its connections are made to.
func aimAt(ctx context.Context, l lookup, raw string, allowed []string) (aim, error) {
	u, err := url.Parse(raw)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // without the URL, which may hold a password
		}
		return aim{}, misused(urlHint, "URL: %w", err)
	}
	port, err := checkURL(u)
	if err != nil {
		u.User = nil
		return aim{}, misused(urlHint, "%q: %w", u, err)
	}
	a := aim{base: u.Scheme + "://" + u.Host}
	if a.target, err = targetOf(u); err != nil {
		return aim{}, misused(urlHint, "%q: %w", raw, err)
	}
	address, err := permittedAddress(ctx, l, u.Hostname(), port, allowed)
	if err != nil {
		return aim{}, err
	}
	a.dial = netip.AddrPortFrom(address, port).String()
	return a, nil
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

// permittedAddress looks a host up once and returns the address to dial. A
// name without consent is not even looked up; of a name with consent every
// address must be one that load may go to.
func permittedAddress(ctx context.Context, l lookup, host string, port uint16, allowed []string) (netip.Addr, error) {
	if err := plan.Consent(host, allowed); err != nil {
		return netip.Addr{}, refused(host, err, allowed)
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap(), nil
	}
	addresses, err := l.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look up: %w", err)
	}
	if len(addresses) == 0 {
		return netip.Addr{}, fmt.Errorf("look up: %s has no address", host)
	}
	for _, address := range addresses {
		if err := plan.Dialled(host, address, allowed); err != nil {
			return netip.Addr{}, refused(host, err, allowed)
		}
	}
	return answering(ctx, addresses, port), nil
}

// refused words why load may not go to a host: for want of consent, which can
// be given, or always.
func refused(host string, err error, allowed []string) error {
	if plan.Consent(host, append(allowed[:len(allowed):len(allowed)], host)) == nil && plan.Consent(host, allowed) != nil {
		return misused("add --allow-host "+host+" if the server is yours to load", "%s is not on this machine: nothing is sent there unasked", host)
	}
	return misused("no flag changes this", "%s: %w", host, err)
}

// probeWithin bounds the search for an address that answers.
const probeWithin = time.Second

// answering is the first of several addresses that takes a connection, or the
// first: a server need not listen on all addresses of its name.
func answering(ctx context.Context, addresses []netip.Addr, port uint16) netip.Addr {
	if len(addresses) > 1 {
		dialer := net.Dialer{Timeout: probeWithin}
		for _, a := range addresses {
			conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(a.Unmap(), port).String())
			if err == nil {
				conn.Close()
				return a.Unmap()
			}
		}
	}
	return addresses[0].Unmap()
}
