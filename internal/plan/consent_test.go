package plan

import "testing"

// TestConsentInPlan loads plans whose balancer stands elsewhere.
func TestConsentInPlan(t *testing.T) {
	plan := func(url, hosts string) string {
		return "name: x\ntargets: [a]\nagents: {engine: http}\nphases: [{model: closed, connections: 2, duration: 1s}]\nallow_hosts: [" + hosts + "]\n" +
			"balancer: {kind: external, url: \"" + url + "\", replica_ports: [9001]}\n"
	}
	for _, c := range []struct {
		url, hosts string
		ok         bool
	}{
		{"http://shop.example:80/a", "shop.example", true},
		{"https://SHOP.example", "shop.example", true},
		{"http://[fd00::1]:80", "\"fd00::1\"", true},
		{"http://127.0.0.1:80", "", true},
		{"http://shop.example", "", false},
		{"http://[fd00::1]:80", "", false},
		{"http://[::ffff:169.254.169.254]", "", false},
	} {
		if _, err := Load("x.yaml", []byte(plan(c.url, c.hosts))); (err == nil) != c.ok {
			t.Errorf("%s with %q: %v", c.url, c.hosts, err)
		}
	}
}
