package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A secret or a file of a collector that is missing is listed with what else is, and the other collector is asked.
func TestDoctorListsSecrets(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	for influx, want := range map[string]string{
		"url: \"http://127.0.0.1:1\", user: u":                    `p: missing: collect.influxdb.user "u" has no password (name a password_file, or set BAKEOFF_INFLUXDB_PASSWORD)`,
		"url: \"http://127.0.0.1:1\", user: u, password_file: %s": "p: missing: collect.influxdb: open " + filepath.Join(dir, "none"),
		"url: \"http://127.0.0.1:1\", token_file: %s":             "p: missing: collect.influxdb: open " + filepath.Join(dir, "none"),
		"url: \"https://127.0.0.1:1\", ca_file: %s":               "p: missing: influxdb: ",
	} {
		text := `name: p
targets: [{name: a, kind: url, url: "http://127.0.0.1:1"}]
phases: [{model: closed, connections: 2, duration: 1s}]
collect: {influxdb: {database: b, ` + strings.ReplaceAll(influx, "%s", filepath.Join(dir, "none")) + `}, otlp: {url: "http://127.0.0.1:1", headers_file: ` + filepath.Join(dir, "other") + `}}
`
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, out, errs := exits(t, "doctor", path)
		for _, want := range []string{want, "p: missing: collect.otlp: open " + filepath.Join(dir, "other"), "calibration: "} {
			if status != exitPrerequisite || !strings.Contains(out, want) {
				t.Errorf("%s: status %d, lacks %q\n%s%s", influx, status, want, out, errs)
			}
		}
	}
}
