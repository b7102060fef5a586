package plan

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"bakeoff/internal/strictyaml"
)

// Consent tells whether a plan that allows these hosts may send anything to
// host, a name or an address without a port: nil, or why not. Loopback
// addresses and the name localhost need no consent; link-local, metadata, multicast,
// broadcast and unspecified addresses are refused whatever is allowed. It looks
// nothing up: who resolves a name asks again for the address that is dialled, with Dialled.
func Consent(host string, allowed []string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return consentAddr(addr, allowed)
	}
	if strings.EqualFold(host, "localhost") {
		return nil
	}
	if err := checkAllowed(host); err != nil {
		return err
	}
	if !slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, host) }) {
		return notAllowed(host)
	}
	return nil
}

// Dialled is Consent for the address that a host allowed by Consent was
// resolved to. A name that was allowed allows its addresses, except those that are never
// allowed; localhost allows loopback addresses only.
func Dialled(host string, addr netip.Addr, allowed []string) error {
	if err := Consent(host, allowed); err != nil {
		return err
	}
	if _, err := netip.ParseAddr(host); err == nil || strings.EqualFold(host, "localhost") {
		return consentAddr(addr, allowed)
	}
	return forbidden(addr)
}

func consentAddr(addr netip.Addr, allowed []string) error {
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
	return fmt.Errorf("%s is not on this machine: name it in allow_hosts if load may go there", strictyaml.Quote(host))
}

// metadata are addresses at which clouds answer with credentials, beside the link-local one.
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

// hostText is a host name whose last label is not a number (RFC 1123, RFC 3696).
var hostText = regexp.MustCompile(`^([a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)

// checkAllowed says why a text cannot stand in allow_hosts, or nil.
func checkAllowed(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return forbidden(addr)
	}
	switch lower := strings.ToLower(host); {
	case lower == "metadata" || strings.HasPrefix(lower, "metadata.") || lower == "instance-data":
		return fmt.Errorf("%s is a cloud's metadata server: nothing is ever sent there", strictyaml.Quote(host))
	case len(host) > 253 || !hostText.MatchString(host):
		return fmt.Errorf("%s is neither a host name nor an IP address", strictyaml.Quote(host))
	}
	return nil
}
