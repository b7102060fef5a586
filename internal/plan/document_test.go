package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
)

// docs/plan.md has every key of a plan, with what the schema says of it.
func TestDocumentedKeys(t *testing.T) {
	const file = "../../docs/plan.md"
	const begin, end = "<!-- keys: written by go test ./internal/plan -run DocumentedKeys -update -->\n", "<!-- end of keys -->\n"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(doc), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the keys", file)
	}
	want := before + begin + documented(t) + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(doc) != want {
		t.Errorf("%s is not what plan.go says: go test ./internal/plan -run DocumentedKeys -update", file)
	}
}

// documented is the table of all keys.
func documented(t *testing.T) string {
	t.Helper()
	var s jsonschema.Schema
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	d := keyTable{all: s.Definitions, standards: map[string]string{}}
	d.tags("", reflect.TypeFor[Plan]())
	d.keys("", &s)
	if d.n < 100 {
		t.Errorf("only %d keys found", d.n)
	}
	return "| key | value | default | what it is |\n|---|---|---|---|\n" + d.String()
}

// keyTable collects the rows of the table.
type keyTable struct {
	strings.Builder
	all       jsonschema.Definitions
	standards map[string]string // by key; the schema lacks those of times and percentages
	n         int
}

// tags finds the default of every key in the tags of the types.
func (d *keyTable) tags(path string, t reflect.Type) {
	switch t.Kind() {
	case reflect.Slice:
		d.tags(path+"[]", t.Elem())
	case reflect.Struct:
		for f := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(f).Tag.Get("json"), ",")
			key := strings.TrimPrefix(path+"."+name, ".")
			if _, standard, ok := strings.Cut(t.Field(f).Tag.Get("jsonschema"), "default="); ok {
				d.standards[key], _, _ = strings.Cut(standard, ",")
			}
			d.tags(key, t.Field(f).Type)
		}
	}
}

// keys adds what is in s, each key with those in it below it. What pods of each role ask for is the same for all roles.
func (d *keyTable) keys(path string, s *jsonschema.Schema) {
	s = d.resolved(s)
	for _, alternative := range s.OneOf {
		d.keys(path, alternative)
	}
	if s.Items != nil {
		d.keys(path+"[]", s.Items)
	}
	if s.Properties == nil || path == "kubernetes.resources" {
		return
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		key := strings.TrimPrefix(path+"."+pair.Key, ".")
		d.row(key, pair.Key, pair.Value)
		d.keys(key, pair.Value)
	}
}

func (d *keyTable) row(path, key string, s *jsonschema.Schema) {
	d.n++
	of := d.resolved(s)
	about := s.Description
	if about == "" {
		about = of.Description
	}
	standard := d.standards[path]
	if standard != "" {
		standard = "`" + standard + "`"
	}
	fmt.Fprintf(d, "| `%s` | %s | %s | %s |\n", path, d.value(of), standard, strings.ReplaceAll(meaning(key, about), "|", `\|`))
}

// resolved is what s refers to.
func (d *keyTable) resolved(s *jsonschema.Schema) *jsonschema.Schema {
	if s.Ref == "" {
		return s
	}
	return d.all[strings.TrimPrefix(s.Ref, "#/$defs/")]
}

// value says in a few words what may be written there.
func (d *keyTable) value(s *jsonschema.Schema) string {
	switch {
	case len(s.Enum) > 0:
		return "`" + strings.Trim(strings.ReplaceAll(fmt.Sprintf("%q", s.Enum), `" "`, "`, `"), `[]"`) + "`"
	case s.Minimum != "" && len(s.Maximum) < len("1000000000"):
		return fmt.Sprintf("%s to %s", s.Minimum, s.Maximum)
	case s.Type == "integer":
		return "number"
	case strings.HasSuffix(s.Pattern, "%$"):
		return "percentage"
	case strings.Contains(s.Pattern, "ns|us"):
		return "time"
	case s.Type == "array":
		return "list"
	case s.Type == "boolean":
		return "`true`, `false`"
	case s.Type == "object" && s.AdditionalProperties != nil && s.Properties == nil:
		return "map"
	case s.Type == "string":
		return "text"
	}
	return ""
}

// lead is the name of a field at the beginning of its comment, and how the sentence goes on.
var lead = regexp.MustCompile(`^([A-Z][A-Za-z0-9]*)(: | is | are |, (?:for|open|closed|with turns)\b)`)

// meaning is a field's comment without the name that the field has in Go.
func meaning(key, comment string) string {
	field := strings.ReplaceAll(key, "_", "")
	m := lead.FindStringSubmatch(comment)
	if m == nil || !strings.EqualFold(m[1], field) {
		if name, rest, _ := strings.Cut(comment, " "); name != "" && field != key && strings.EqualFold(name, field) {
			return "`" + key + "` " + rest
		}
		return comment
	}
	clause, found := strings.CutPrefix(m[2], ", ")
	if !found {
		clause = ""
	}
	return clause + comment[len(m[0]):]
}
