package consent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Resolver finds the addresses of a host name; net.DefaultResolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// RefusedError is a host that nothing may be sent to.
type RefusedError struct {
	Host string
	Err  error
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%s: %v", e.Host, e.Err) }
func (e *RefusedError) Unwrap() error { return e.Err }

// Lookup looks a host up once and returns the address to dial, the first that takes a
// connection at port. A name without consent is not even looked up; of a name with
// consent every address must be one that may be sent to, so that which of them answers first
// decides nothing. The error is a RefusedError, or that of the look-up.
func Lookup(ctx context.Context, r Resolver, host string, port uint16, allowed []string) (netip.Addr, error) {
	addresses, err := LookupAll(ctx, r, host, allowed)
	if err != nil {
		return netip.Addr{}, err
	}
	return answering(ctx, addresses, port), nil
}

// LookupAll is Lookup for anyone who wants every address of a name, in the order of the look-up.
func LookupAll(ctx context.Context, r Resolver, host string, allowed []string) ([]netip.Addr, error) {
	host = Name(host)
	if err := Host(host, allowed); err != nil {
		return nil, &RefusedError{host, err}
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address.Unmap()}, nil
	}
	addresses, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up: %w", err)
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("look up: %s has no address", host)
	}
	for i, address := range addresses {
		if err := Address(host, address, allowed); err != nil {
			return nil, &RefusedError{host, err}
		}
		addresses[i] = address.Unmap()
	}
	return addresses, nil
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
