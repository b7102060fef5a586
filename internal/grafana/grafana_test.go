package grafana_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"bakeoff/internal/grafana"
)

// TestFiles reads every file as Grafana does, as far as its format says.
func TestFiles(t *testing.T) {
	files, err := grafana.Files(grafana.Source{URL: "http://127.0.0.1:8086", Database: `a "b"`, Version: 2}, "/var/dash boards")
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]bool{}
	for name, text := range files {
		if strings.HasSuffix(name, ".json") {
			dashboard(t, name, text, uids)
		}
	}
	if len(uids) != 6 {
		t.Errorf("dashboards %v", uids)
	}
	var source struct {
		Datasources []struct {
			Type, URL, UID string
			JSONData       map[string]any    `yaml:"jsonData"`
			Secure         map[string]string `yaml:"secureJsonData"`
		}
	}
	if err := yaml.Load(files["provisioning/datasources/bakeoff.yaml"], &source); err != nil || len(source.Datasources) != 1 {
		t.Fatalf("data source: %v", err)
	}
	if d := source.Datasources[0]; d.Type != "influxdb" || d.JSONData["dbName"] != `a "b"` || d.Secure["httpHeaderValue1"] != "Token ${BAKEOFF_INFLUXDB_TOKEN}" {
		t.Errorf("data source %+v", d)
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if err := yaml.Load(files["provisioning/dashboards/bakeoff.yaml"], &providers); err != nil || providers.Providers[0].Options.Path != "/var/dash boards" {
		t.Errorf("provider %+v: %v", providers, err)
	}
}

// dashboard checks what a file-provisioned classic dashboard must be.
func dashboard(t *testing.T, name string, text []byte, uids map[string]bool) {
	t.Helper()
	var d struct {
		UID           string `json:"uid"`
		SchemaVersion int    `json:"schemaVersion"`
		Panels        []struct {
			ID      int
			Type    string
			GridPos struct{ X, W int }
			Targets []struct {
				Query, ResultFormat string
				RawQuery            bool
				Datasource          struct{ UID string }
			}
		}
		Templating struct{ List []struct{ Name, Type string } }
		Spec       any `json:"spec"` // of the newer schema
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if d.UID == "" || uids[d.UID] || d.SchemaVersion != 38 || d.Spec != nil || !strings.HasSuffix(name, d.UID+".json") {
		t.Errorf("%s: uid %q, schema %d", name, d.UID, d.SchemaVersion)
	}
	uids[d.UID] = true
	if d.Templating.List[0].Type != "datasource" || len(d.Templating.List) < 2 {
		t.Errorf("%s: variables %v", name, d.Templating.List)
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || !slices.Contains([]string{"timeseries", "stat", "table", "barchart", "text"}, p.Type) {
			t.Errorf("%s: panel %+v", name, p)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			if !q.RawQuery || !strings.Contains(q.Query, "$timeFilter") || q.Datasource.UID != "${source}" {
				t.Errorf("%s: query %+v", name, q)
			}
		}
		if len(p.Targets) == 0 && p.Type != "text" {
			t.Errorf("%s: panel %d asks nothing", name, p.ID)
		}
	}
}
