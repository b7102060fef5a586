package export

import (
	"net/http"
	"strings"
	"testing"
)

// answers is a server that has these answers by path; anything else is not found.
type answers map[string]*http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if res := a[r.URL.Path]; res != nil {
		return res, nil
	}
	return reply(404, `{"code":"not found","message":"not here"}`, nil), nil
}

// TestCheck asks servers of version 1 and 2 for what a run needs there: each thing that is missing is named, with the way to
// make it, and what a server does not say is not called missing.
func TestCheck(t *testing.T) {
	ping := func() *http.Response { return reply(204, "", http.Header{"X-Influxdb-Version": {"v2.7.4"}}) }
	const buckets = `{"buckets":[{"id":"0a","name":"other"},{"id":"0b","name":"b"}]}`
	ok := func(text string) *http.Response { return reply(200, text, nil) }
	two := Influx{URL: "http://127.0.0.1:1", Bucket: "b", Org: "o", Token: "hunter2"}
	one := Influx{URL: "http://127.0.0.1:1", Database: "x"}
	for _, c := range []struct {
		name             string
		to               Influx
		server           answers
		missing, unknown string // part of what is said; empty: nothing is
	}{
		{"version 1", one, answers{"/ping": ping()}, "", ""},
		{"nobody", one, answers{}, "does not answer", ""},
		{"all there", two, answers{"/ping": ping(), "/api/v2/buckets": ok(buckets), "/api/v2/dbrps": ok(`{"content":[{"bucketID":"0b","database":"bakeoff"}]}`)}, "", ""},
		{"no bucket", two, answers{"/ping": ping(), "/api/v2/buckets": ok(`{"buckets":[]}`)}, `no bucket "b" in the organisation "o"`, ""},
		{"no organisation", two, answers{"/ping": ping()}, `no bucket "b" in the organisation "o"`, ""},
		{"no mapping", two, answers{"/ping": ping(), "/api/v2/buckets": ok(buckets), "/api/v2/dbrps": ok(`{"content":[]}`)}, "influx v1 dbrp create --bucket-id 0b", ""},
		{"another bucket's mapping", two, answers{"/ping": ping(), "/api/v2/buckets": ok(buckets), "/api/v2/dbrps": ok(`{"content":[{"bucketID":"0a","database":"x"}]}`)}, "(DBRP)", ""},
		{"a token that may only write", two, answers{"/ping": ping(), "/api/v2/buckets": reply(401, `{"message":"unauthorized"}`, nil)}, "", "status 401: unauthorized"},
		{"a token that may not see mappings", two, answers{"/ping": ping(), "/api/v2/buckets": ok(buckets), "/api/v2/dbrps": reply(403, "", nil)}, "", "which databases are mapped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.to.transport = c.server
			found, err := c.to.Check(t.Context())
			missing, unknown := strings.Join(found.Missing, "\n"), strings.Join(found.Unknown, "\n")
			if err != nil || !strings.Contains(missing, c.missing) || !strings.Contains(unknown, c.unknown) || (c.missing == "") != (missing == "") || (c.unknown == "") != (unknown == "") {
				t.Errorf("missing %q, unknown %q, %v", missing, unknown, err)
			}
			if strings.Contains(missing+unknown, "hunter2") {
				t.Errorf("the token is in %q", missing+unknown)
			}
		})
	}
}

// TestCheckOTLP takes a server that takes a request without metrics for one that takes others.
func TestCheckOTLP(t *testing.T) {
	for status, want := range map[int]string{200: "", 404: "takes no metrics: status 404"} {
		to := OTLP{URL: "http://127.0.0.1:1", transport: answers{"/v1/metrics": reply(status, "", nil)}}
		found, err := to.Check(t.Context())
		if text := strings.Join(found.Missing, ""); err != nil || !strings.Contains(text, want) || (want == "") != (text == "") {
			t.Errorf("status %d: %q, %v", status, text, err)
		}
	}
}
