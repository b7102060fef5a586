package consent

import (
	"net/netip"
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	allowed := []string{"Shop.example", "Bücher.example", "_my.example", "my_service.example.", "10.0.0.5", "fd00::1", "::ffff:10.0.0.7"}
	for host, want := range map[string]string{
		// this machine
		"127.0.0.1": "", "127.8.9.1": "", "::1": "", "localhost": "", "LOCALHOST": "", "::ffff:127.0.0.1": "",
		// by name
		"shop.example": "", "SHOP.EXAMPLE": "", "shop.example.": "", "bücher.example": "", "BÜCHER.example.": "", "xn--bcher-kva.example": "", "my_service.example": "", "localhost.": "", "10.0.0.5": "", "::ffff:10.0.0.5": "", "fd00::1": "", "fd00:0:0::1": "", "10.0.0.7": "",
		// not allowed; private ranges are no exception
		"other.example": "allow_hosts", "10.0.0.6": "allow_hosts", "192.168.1.1": "allow_hosts", "8.8.8.8": "allow_hosts", "fd00::2": "allow_hosts",
		"sub.shop.example": "allow_hosts", "a.localhost": "allow_hosts", "localhost.evil.example": "allow_hosts",
		// never
		"169.254.1.1": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "::1%eth0": "link-local", "::ffff:169.254.169.254": "link-local",
		"224.0.0.1": "multicast", "ff02::1": "multicast", "255.255.255.255": "broadcast", "0.0.0.0": "unspecified", "::": "unspecified", "0.1.2.3": "unspecified",
		"240.0.0.1": "reserved", "fd00:ec2::254": "metadata", "100.100.100.200": "metadata", "metadata.google.internal": "metadata", "METADATA": "metadata",
		// other ways to write an address, which a resolver may take for one
		"127.1": "neither", "0x7f000001": "neither", "2130706433": "neither", "010.0.0.1": "neither", "1.2.3": "neither", "0x7f.0.0.1": "neither",
		"": "neither", ".": "neither", "a b": "neither", "shop.example..": "neither", "bücher..example": "neither", "b\u202ex.example": "neither", "-a.example": "neither", "a..b": "neither", "ex\x00ample": "neither", "http://shop.example": "neither",
		"shop.example:80": "neither", "－１２７.1": "neither", "other_.example": "allow_hosts", "bücher2.example": "allow_hosts", "１６９.254.169.254": "link-local",
	} {
		switch err := Host(host, allowed); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", host, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
}

// TestHostNever wants refusals that no consent lifts.
func TestHostNever(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "0.0.0.0", "::", "fd00:ec2::254", "metadata.google.internal"} {
		if err := Host(host, []string{host}); err == nil {
			t.Errorf("%s: allowed", host)
		}
	}
}

func TestAddress(t *testing.T) {
	allowed := []string{"shop.example", "10.0.0.5"}
	for _, c := range []struct {
		host, addr string
		ok         bool
	}{
		{"shop.example", "203.0.113.7", true},
		{"shop.example", "10.1.1.1", true},
		{"shop.example", "127.0.0.1", true},
		{"shop.example", "169.254.169.254", false},
		{"shop.example", "::ffff:169.254.169.254", false},
		{"shop.example", "0.0.0.0", false},
		{"other.example", "203.0.113.7", false},
		{"other.example", "127.0.0.1", false},
		{"localhost", "127.0.0.1", true},
		{"localhost", "::1", true},
		{"localhost", "10.0.0.5", true},
		{"localhost", "10.0.0.6", false},
		{"10.0.0.5", "10.0.0.5", true},
		{"10.0.0.5", "10.0.0.6", false},
		{"127.0.0.1", "10.0.0.6", false},
	} {
		if err := Address(c.host, netip.MustParseAddr(c.addr), allowed); (err == nil) != c.ok {
			t.Errorf("%s at %s: %v", c.host, c.addr, err)
		}
	}
}
