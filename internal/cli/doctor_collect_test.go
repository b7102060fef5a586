package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDoctorAsksCollectors has doctor name the bucket or the mapping that the server of a plan lacks, with status 5, and nothing
// where both are there; names of Debian packages are printed without asking anybody.
func TestDoctorAsksCollectors(t *testing.T) {
	s := newScene(t)
	answers := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch text := answers[r.URL.Path]; {
		case r.URL.Path == "/ping":
			w.Header().Set("X-Influxdb-Version", "v2.7.4")
			w.WriteHeader(http.StatusNoContent)
		case text == "" || r.Header.Get("Authorization") != "Token hunter2":
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprint(w, text)
		}
	}))
	defer server.Close()
	s.env = append(s.env, "BAKEOFF_INFLUXDB_TOKEN=hunter2")
	s.write("p.yaml", serversText([][3]string{{"near", "127.0.0.1:1/", ""}}, shortClosed,
		fmt.Sprintf("collect: {influxdb: {url: %q, bucket: b, org: o}, otlp: {url: %q}}", server.URL, "http://127.0.0.1:1")))
	said := s.run(5, "doctor", "p.yaml").stdout.String()
	wantAll(t, "without a bucket", said, `e2e: missing: influxdb at `+server.URL+` has no bucket "b" in the organisation "o"`, "otlp at http://127.0.0.1:1 takes no metrics")
	answers["/api/v2/buckets"] = `{"buckets":[{"id":"0b","name":"b"}]}`
	answers["/api/v2/dbrps"] = `{"content":[]}`
	wantAll(t, "without a mapping", s.run(5, "doctor", "p.yaml").stdout.String(), "influx v1 dbrp create --bucket-id 0b")
	s.run(0, "doctor", "--packages", "p.yaml")
	s.write("p.yaml", serversText([][3]string{{"near", "127.0.0.1:1/", ""}}, shortClosed,
		fmt.Sprintf("collect: {influxdb: {url: %q, bucket: b, org: o}}", server.URL)))
	answers["/api/v2/dbrps"] = `{"content":[{"bucketID":"0b","database":"bakeoff"}]}`
	wantAll(t, "with both", s.run(0, "doctor", "p.yaml").stdout.String(), "e2e: nothing is missing")
}
