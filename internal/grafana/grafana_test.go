package grafana_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
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

// TestSchema compares every dashboard with Grafana's own schema of classic ones, and one that is not right with it too.
func TestSchema(t *testing.T) {
	c := jsonschema.NewCompiler()
	s, err := c.Compile("testdata/foundation-sdk/dashboard.jsonschema.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := grafana.Files(grafana.Source{URL: "http://127.0.0.1:8086", Database: "x", Version: 1}, "/var/dashboards")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for name, text := range files {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		if err := validated(t, s, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checked++
		for old, wrong := range map[string]string{`"gridPos"`: `"gridPosition"`, `"type": "text"`: `"type": ""`, `"iconColor"`: `"color"`, `"w": 24`: `"w": 25`, `"schemaVersion": 38`: `"schemaVersion": "38"`} {
			if spoiled := strings.Replace(string(text), old, wrong, 1); spoiled == string(text) || validated(t, s, []byte(spoiled)) == nil {
				t.Errorf("%s: with %s in place of %s it is taken", name, wrong, old)
			}
		}
	}
	if checked != len(grafana.Dashboards()) {
		t.Errorf("%d dashboards", checked)
	}
}

func validated(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// TestAnnotation has the columns of an annotation where Grafana looks for them: in its target.
func TestAnnotation(t *testing.T) {
	files, err := grafana.Files(grafana.Source{URL: "http://127.0.0.1:8086", Database: "x", Version: 1}, "/var/dashboards")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Annotations struct {
			List []struct{ Target map[string]any }
		}
	}
	if err := json.Unmarshal(files["dashboards/bakeoff-run.json"], &d); err != nil || len(d.Annotations.List) != 1 {
		t.Fatalf("%v: %+v", err, d)
	}
	if at := d.Annotations.List[0].Target; at["textColumn"] != "text" || at["titleColumn"] != "title" || at["fromAnnotations"] != true || at["query"] == "" {
		t.Errorf("target %v", at)
	}
}

// TestSources has each version asked in InfluxQL, with a token in the way that it takes one.
func TestSources(t *testing.T) {
	for version, want := range map[int]string{1: "", 2: "Token ${BAKEOFF_INFLUXDB_TOKEN}", 3: "Bearer ${BAKEOFF_INFLUXDB_TOKEN}"} {
		files, err := grafana.Files(grafana.Source{URL: "http://127.0.0.1:8181", Database: "x", Version: version}, "/var/dashboards")
		if err != nil {
			t.Fatal(err)
		}
		var source struct {
			Datasources []struct {
				Type     string
				JSONData map[string]any    `yaml:"jsonData"`
				Secure   map[string]string `yaml:"secureJsonData"`
			}
		}
		if err := yaml.Load(files["provisioning/datasources/bakeoff.yaml"], &source); err != nil {
			t.Fatal(err)
		}
		one := source.Datasources[0]
		if one.Type != "influxdb" || one.JSONData["version"] != "InfluxQL" || one.Secure["httpHeaderValue1"] != want || (one.JSONData["httpHeaderName1"] == "Authorization") != (want != "") {
			t.Errorf("version %d: %+v", version, one)
		}
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
