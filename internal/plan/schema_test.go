package plan

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("plan.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("plan.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tree is a YAML document as a JSON validator sees it.
func tree(t interface {
	Helper()
	Fatal(args ...any)
}, data []byte,
) any {
	t.Helper()
	var v any
	if err := yaml.Load(data, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// shipped are the plans carried in the binary, by name.
func shipped(t *testing.T) map[string][]byte {
	t.Helper()
	folder := os.DirFS("../../plans")
	files, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		data, err := fs.ReadFile(folder, file)
		if err != nil {
			t.Fatal(err)
		}
		out[file] = data
	}
	for _, want := range []string{"demo.yaml", "seed.yaml", "reference.yaml", "variants.yaml", "tiny.yaml", "two-urls.yaml", "cost.yaml", "sweep.yaml", "shares.yaml", "capacity.yaml"} {
		if out[want] == nil {
			t.Fatalf("%s is not shipped", want)
		}
	}
	return out
}

func TestSchemaAcceptsShipped(t *testing.T) {
	s := compiled(t)
	for file, data := range shipped(t) {
		if err := s.Validate(tree(t, data)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// beyondSchema are the bad plans that the schema lets pass, by what it does not look at.
var beyondSchema = map[string][]string{
	"several values together":                    {"connections-few", "connections-direct", "running-tls-plain", "running-tls-key", "consent-missing", "consent-private", "lengths-crossed", "lengths-few", "phase-twice", "primary-closed", "primary-open", "warmup-crossed", "warmup-engine", "ramp-long", "rate-of-pilot-no-pilot", "target-twice", "running-twice", "running-consent", "jmx-native", "jmx-open", "jmx-divide", "jmeter-direct", "jmeter-https", "jmeter-primary", "collect-elsewhere", "collect-otlp-elsewhere", "kubernetes-limits", "kubernetes-registry-missing", "kubernetes-running", "sweep-fixed", "sweep-many", "sweep-same-name", "balancer-jmeter", "balancer-one-host"},
	"addresses":                                  {"consent-metadata", "url-host", "url-none", "url-port", "running-metadata", "running-broadcast", "balancer-metadata", "balancer-port", "balancer-host", "balancer-host-address"},
	"the size of a duration":                     {"duration-long", "duration-overflow", "duration-short", "duration-zero", "pilot-short", "timeout-long", "warmup-long", "warmup-settling-long", "warmup-settling-short", "jmeter-duration", "jmeter-ramp"},
	"how a value is written; YAML says the same": {"date-for-text", "exponent-for-integer", "float-for-integer", "hex", "octal", "underscore", "merge-key", "tag"},
	"the size of a delta":                        {"delta-large", "delta-small", "delta-zero", "balancer-equal", "balancer-equal-much"},
	"what a text holds":                          {"description-control", "dsn-inline", "dsn-nul", "dsn-upwards", "variable-value", "running-space", "running-control", "running-body-never", "recipe-folder-name", "variable-prefix", "kubernetes-image", "kubernetes-latest", "balancer-annotation"},
	"0 is allowed, 1 to 9 are not":               {"max-connections"},
}

// TestSchemaRefusesBad shows the schema every bad plan that is YAML at all.
func TestSchemaRefusesBad(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var excused []string
	for _, names := range beyondSchema {
		excused = append(excused, names...)
	}
	unused := map[string]bool{}
	for _, name := range excused {
		unused[name] = true
	}
	refused := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := yaml.Load(data, &v); err != nil {
			continue
		}
		if _, err := json.Marshal(v); err != nil {
			continue // NaN and infinity have no JSON
		}
		base := strings.TrimSuffix(filepath.Base(file), ".yaml")
		beyond := slices.Contains(excused, base)
		delete(unused, base)
		switch err := s.Validate(tree(t, data)); {
		case err == nil && !beyond:
			t.Errorf("%s: accepted", base)
		case err != nil && beyond:
			t.Errorf("%s: refused, it is not beyond the schema: %v", base, err)
		case err != nil:
			refused++
		}
	}
	if len(unused) > 0 {
		t.Errorf("no such files: %v", slices.Sorted(maps.Keys(unused)))
	}
	if refused < 80 {
		t.Errorf("%d files refused", refused)
	}
}

// TestSchemaDefaults compares the defaults that the schema names with those that Load fills in.
func TestSchemaDefaults(t *testing.T) {
	p, err := Load("least.yaml", []byte("name: least\ntargets: [a]\nphases: [{model: closed, connections: 2, duration: 1s}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Default any }
		} `json:"$defs"`
		Properties map[string]struct{ Default any }
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	var resolved map[string]any
	if err := json.Unmarshal(p.canonical(), &resolved); err != nil {
		t.Fatal(err)
	}
	dataset := resolved["dataset"].(map[string]any)
	values := map[string]any{
		"": resolved, "Dataset": dataset, "Lengths": dataset["lengths"], "Database": resolved["database"], "Balancer": resolved["balancer"],
		"Agents": resolved["agents"], "Deployment": resolved["deployment"], "Phase": resolved["phases"].([]any)[0],
	}
	compared := 0
	for def, v := range values {
		properties := schema.Properties
		if def != "" {
			properties = schema.Defs[def].Properties
		}
		for key, property := range properties {
			if property.Default == nil {
				continue
			}
			compared++
			got, there := v.(map[string]any)[key]
			if !there {
				got = reflect.Zero(reflect.TypeOf(property.Default)).Interface() // left out when empty
			}
			if !reflect.DeepEqual(got, property.Default) {
				t.Errorf("%s.%s: the schema says %v, Load %v", def, key, property.Default, got)
			}
		}
	}
	if compared < 15 {
		t.Errorf("%d defaults compared", compared)
	}
}

// TestSchemaDescribes wants words about every key whose name does not say it all.
func TestSchemaDescribes(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for def, key := range map[string]string{"Phase": "rate_of_pilot", "Dataset": "hit_ratio", "Database": "dsn_file", "Deployment": "pool"} {
		if schema.Defs[def].Properties[key].Description == "" {
			t.Errorf("%s.%s has no description", def, key)
		}
	}
}
