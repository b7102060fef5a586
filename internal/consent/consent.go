// Package consent decides which hosts bakeoff may send anything to, load and
// database statements alike. This machine needs no consent; any other host must
// be allowed by name or address, and some addresses are refused whatever is allowed. A name
// without consent is not even looked up.
package consent

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Host reports whether a user who allows these hosts allows host, a name or an
// address without a port: nil, or why not. Loopback
// addresses and the name localhost need no consent; link-local, metadata, multicast,
// broadcast and unspecified addresses are refused whatever is allowed. It looks
// nothing up: Lookup does, and checks every address found.
func Host(host string, allowed []string) error {
	host = Name(host)
	if addr, err := netip.ParseAddr(host); err == nil {
		return checkAddress(addr, allowed)
	}
	if strings.EqualFold(host, "localhost") {
		return nil
	}
	if err := Allowable(host); err != nil {
		return err
	}
	if !slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(Name(a), host) }) {
		return notAllowed(host)
	}
	return nil
}

// Address is Host for an address that the host was resolved to. A name that
// was allowed allows its addresses, except those that are never
// allowed; localhost allows loopback addresses and those allowed themselves.
func Address(host string, addr netip.Addr, allowed []string) error {
	host = Name(host)
	if err := Host(host, allowed); err != nil {
		return err
	}
	if _, err := netip.ParseAddr(host); err == nil || strings.EqualFold(host, "localhost") {
		return checkAddress(addr, allowed)
	}
	return forbidden(addr)
}

func checkAddress(addr netip.Addr, allowed []string) error {
	addr = addr.Unmap()
	if err := forbidden(addr); err != nil {
		return err
	}
	if addr.IsLoopback() {
		return nil
	}
	for _, a := range allowed {
		if other, err := netip.ParseAddr(a); err == nil && other.Unmap() == addr {
			return nil
		}
	}
	return notAllowed(addr.String())
}

func notAllowed(host string) error {
	return fmt.Errorf("refusing to send load to %.40q: it is not this machine (add it to allow_hosts)", host)
}

// metadata are addresses at which clouds answer with credentials, in addition to the link-local one.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("168.63.129.16"),
}

// forbidden says why nothing may ever be sent to an address, or nil.
func forbidden(addr netip.Addr) error {
	addr = addr.Unmap()
	var kind string
	switch {
	case addr.Zone() != "" || addr.IsLinkLocalUnicast():
		kind = "a link-local"
	case slices.Contains(metadata, addr):
		kind = "a cloud's metadata"
	case addr.IsMulticast():
		kind = "a multicast"
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		kind = "the broadcast"
	case addr.IsUnspecified() || addr.Is4() && addr.As4()[0] == 0:
		kind = "an unspecified"
	case addr.Is4() && addr.As4()[0] >= 240:
		kind = "a reserved"
	default:
		return nil
	}
	return fmt.Errorf("%s is %s address: nothing is ever sent there", addr, kind)
}

// Name is a host as the Domain Name System knows it: without the dot at its end, and in ASCII where it is an internationalised
// name (RFC 5891). What is no such name stays as it is.
func Name(host string) string {
	plain := strings.TrimSuffix(host, ".")
	if strings.HasSuffix(plain, ".") {
		return host
	}
	if strings.IndexFunc(plain, func(r rune) bool { return r >= 0x80 }) < 0 {
		return plain
	}
	if ascii, err := idna.Lookup.ToASCII(plain); err == nil {
		return ascii
	}
	return host
}

// hostText is a host name whose last label is not a number (RFC 1123, RFC 3696); names of services have underscores.
var hostText = regexp.MustCompile(`^([a-zA-Z0-9_]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9_])?\.)*[a-zA-Z]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)

// Allowable says why a text cannot be in a list of allowed hosts, or nil.
func Allowable(host string) error {
	host = Name(host)
	if addr, err := netip.ParseAddr(host); err == nil {
		return forbidden(addr)
	}
	switch lower := strings.ToLower(host); {
	case lower == "metadata" || strings.HasPrefix(lower, "metadata.") || lower == "instance-data":
		return fmt.Errorf("%.40q is a cloud's metadata server: nothing is ever sent there", host)
	case len(host) > 253 || !hostText.MatchString(host):
		return fmt.Errorf("%.40q is neither a host name nor an IP address", host)
	}
	return nil
}
