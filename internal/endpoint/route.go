package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"bakeoff/internal/consent"
)

// Route says how the way to a URL's server is found.
type Route struct {
	Allowed []string   // hosts that load may go to
	Unix    string     // whole path of a socket of this machine that all connections are made to; empty: none
	To      []Redirect // the first that fits leads elsewhere
	All     bool       // every address of a name is an endpoint of its own
}

// Redirect leads connections for one host and port to another. What is asked for, and under which name, stays.
type Redirect struct {
	Host, Port     string // empty: any
	ToHost, ToPort string // empty: as before
}

// socketBytes is how long the path of a socket may be.
const socketBytes = 107

// ParseRedirect reads HOST:PORT:ADDR:PORT; IPv6 addresses are in brackets, and each part may be empty.
func ParseRedirect(text string) (Redirect, error) {
	var parts []string
	for rest, more := text, true; more; {
		end := strings.IndexByte(rest, ':')
		if strings.HasPrefix(rest, "[") {
			if end = strings.IndexByte(rest, ']') + 1; end == 0 {
				break
			}
		}
		if end < 0 || end >= len(rest) {
			parts, more = append(parts, rest), false
			continue
		}
		if rest[end] != ':' {
			break
		}
		parts, rest = append(parts, rest[:end]), rest[end+1:]
	}
	if len(parts) != 4 {
		return Redirect{}, fmt.Errorf("%q is not HOST:PORT:ADDR:PORT", text)
	}
	for _, port := range []string{parts[1], parts[3]} {
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return Redirect{}, fmt.Errorf("%q: %q is not a port", text, port)
		}
	}
	bare := func(host string) string { return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]") }
	return Redirect{consent.Name(bare(parts[0])), parts[1], bare(parts[2]), parts[3]}, nil
}

// fits reports whether connections for a host and port are led elsewhere.
func (d Redirect) fits(host string, port uint16) bool {
	return (d.Host == "" || strings.EqualFold(d.Host, consent.Name(host))) && (d.Port == "" || d.Port == strconv.Itoa(int(port)))
}

// way is the host and port that connections for a URL's are made to.
func (r Route) way(host string, port uint16) (string, uint16) {
	for _, d := range r.To {
		if !d.fits(host, port) {
			continue
		}
		if d.ToHost != "" {
			host = d.ToHost
		}
		if n, err := strconv.ParseUint(d.ToPort, 10, 16); err == nil {
			port = uint16(n)
		}
		break
	}
	return host, port
}

// Find takes a URL apart and finds where its connections are made to: one endpoint, or with All one for
// each address. Consent is asked for where the bytes go. The error is as At's.
func (r Route) Find(ctx context.Context, names consent.Resolver, raw string) ([]Endpoint, error) {
	u, port, target, err := apart(raw)
	if err != nil {
		return nil, err
	}
	e := Endpoint{Base: u.Scheme + "://" + u.Host, Target: targetOf(target)}
	if r.Unix != "" {
		e.Dial = "unix:" + r.Unix
		return []Endpoint{e}, nil
	}
	host, port := r.way(u.Hostname(), port)
	var found []netip.Addr
	if r.All {
		found, err = consent.LookupAll(ctx, names, host, r.Allowed)
	} else {
		found = make([]netip.Addr, 1)
		found[0], err = consent.Lookup(ctx, names, host, port, r.Allowed)
	}
	if err != nil {
		return nil, err
	}
	out := make([]Endpoint, len(found))
	for i, address := range found {
		out[i] = e
		out[i].Dial = netip.AddrPortFrom(address, port).String()
	}
	return out, nil
}

// CheckSocket says why no connection can be made to the socket at a path, as far as can be seen, or nil.
func CheckSocket(path string) error {
	if len(path) > socketBytes {
		return fmt.Errorf("%s is longer than the %d bytes that a socket's path may have", path, socketBytes)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New(path + " is not a socket")
	}
	return nil
}
