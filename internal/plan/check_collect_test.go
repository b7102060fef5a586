package plan_test

import (
	"strings"
	"testing"

	"bakeoff/internal/plan"
)

// TestOTLPOfRecord is the same for OpenTelemetry's metrics.
func TestOTLPOfRecord(t *testing.T) {
	const files = `,"token_file":"/home/me/.token","headers_file":"/home/me/.headers"}}}`
	const there = `{"allow_hosts":["evil.example"],"collect":{"otlp":{"url":"http://evil.example:4318"`
	const here = `{"allow_hosts":["evil.example"],"collect":{"otlp":{"url":"http://127.0.0.1:4318"`
	allowed := []string{"evil.example"}
	for _, c := range []struct {
		name, record string
		given        plan.OTLP
		hosts        []string
		wrong        string // part of the error; empty: none
		secrets      bool
	}{
		{"none", `{}`, plan.OTLP{}, nil, "--url", false},
		{"elsewhere", there + "}}}", plan.OTLP{}, nil, "--allow-host", false},
		{"elsewhere, allowed", there + files, plan.OTLP{}, allowed, "", false},
		{"elsewhere, with headers", there + files, plan.OTLP{HeadersFile: "/h"}, allowed, "--url", false},
		{"named, elsewhere", `{}`, plan.OTLP{URL: "http://evil.example:4318", TokenFile: "/t"}, nil, "not this machine", true},
		{"named, elsewhere, allowed", `{}`, plan.OTLP{URL: "http://evil.example:4318", TokenFile: "/t"}, allowed, "", true},
		{"named, authorities without TLS", `{}`, plan.OTLP{URL: "http://127.0.0.1:4318", CAFile: "/c"}, nil, "otlp.ca_file: is for https", true},
		{"here", here + files, plan.OTLP{}, nil, "", true},
		{"here, with a token", here + files, plan.OTLP{TokenFile: "/t"}, nil, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := plan.OTLPOf([]byte(c.record), c.given, c.hosts)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("error %v, want one with %q", err, c.wrong)
				}
				return
			}
			if err != nil || d.Secrets != c.secrets || d.OTLP.TokenFile != c.given.TokenFile || d.OTLP.HeadersFile != c.given.HeadersFile || d.OTLP.URL == "" {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

// TestCollectOfRecord has run directories of others name a server and the files of secrets: no secret goes anywhere
// that its user did not name, and nothing at all leaves the machine without a flag.
func TestCollectOfRecord(t *testing.T) {
	const there = `{"allow_hosts":["evil.example"],"collect":{"influxdb":{"url":"http://evil.example:8086","database":"x"`
	const here = `{"allow_hosts":["evil.example"],"collect":{"influxdb":{"url":"http://127.0.0.1:8086","database":"x"`
	const files = `,"password_file":"/home/me/.secret","token_file":"/home/me/.token"}}}`
	allowed := []string{"evil.example"}
	for _, c := range []struct {
		name, record string
		given        plan.InfluxDB
		hosts        []string
		wrong        string // part of the error; empty: none
		secrets      bool
	}{
		{"elsewhere", there + "}}}", plan.InfluxDB{}, nil, "--allow-host", false},
		{"elsewhere, allowed", there + files, plan.InfluxDB{}, allowed, "", false},
		{"elsewhere, with a user", there + `,"user":"me"` + files, plan.InfluxDB{}, allowed, "--url", false},
		{"elsewhere, with a token", there + files, plan.InfluxDB{TokenFile: "/t"}, allowed, "--url", false},
		{"named, elsewhere", there + files, plan.InfluxDB{URL: "http://evil.example:8086", Database: "x", TokenFile: "/t"}, nil, "not this machine", true},
		{"named, elsewhere, allowed", there + files, plan.InfluxDB{URL: "http://evil.example:8086", Database: "x", TokenFile: "/t"}, allowed, "", true},
		{"here", here + files, plan.InfluxDB{}, nil, "", true},
		{"here, with a token", here + files, plan.InfluxDB{TokenFile: "/t"}, nil, "", true},
		{"here, another database", here + files, plan.InfluxDB{Database: "y"}, nil, "--url", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := plan.CollectOf([]byte(c.record), c.given, c.hosts)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("error %v, want one with %q", err, c.wrong)
				}
				return
			}
			if err != nil || d.Secrets != c.secrets || len(d.AllowHosts) != len(c.hosts) ||
				d.InfluxDB.TokenFile != c.given.TokenFile || d.InfluxDB.PasswordFile != c.given.PasswordFile {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

// JMeter's own listener is for phases that JMeter drives, a test plan that bakeoff writes, and a server that needs no secret.
func TestListener(t *testing.T) {
	const managed = "kind: managed, listener: true"
	const server = "url: \"http://127.0.0.1:8086\", listener: true, "
	for _, c := range []struct{ agents, influxdb, wrong string }{
		{"engine: jmeter", managed, ""},
		{"engine: jmeter", server + "database: x", ""},
		{"engine: native", "kind: managed, listener: false", ""},
		{"engine: native", managed, "collect.influxdb.listener: is for engine jmeter"},
		{"engine: jmeter, jmx: own.jmx", managed, "collect.influxdb.listener: is not for a test plan of your own"},
		{"engine: jmeter", server + "database: x, user: me, password_file: p", "collect.influxdb.listener: is for a managed server, or a database"},
		{"engine: jmeter", server + "bucket: x, org: y", "collect.influxdb.listener: is for a managed server, or a database"},
	} {
		text := "name: p\ntargets: [a]\nagents: {" + c.agents + "}\nphases: [{model: closed, connections: 4, duration: 1s}]\ncollect: {influxdb: {" + c.influxdb + "}}\n"
		_, err := plan.Load("p.yaml", []byte(text))
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s, %s: %v, want %q", c.agents, c.influxdb, err, c.wrong)
		}
	}
}
