package plan

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
)

// schema.json is made here, from the types of plan.go and their comments, so that the program needs neither
// its own source nor a parser of Go.

func TestSchemaIsCurrent(t *testing.T) {
	want := generated(t)
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(Schema()) != string(want) {
		t.Error("schema.json is not what plan.go says: go test ./internal/plan -run SchemaIsCurrent -update")
	}
}

// generated is the schema of the types as they are.
func generated(t *testing.T) []byte {
	t.Helper()
	source, err := os.ReadFile("plan.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := commentsOf(t, string(source))
	r := jsonschema.Reflector{
		Anonymous:                  true,
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		LookupComment: func(t reflect.Type, field string) string {
			return comments[t.Name()+"."+field]
		},
	}
	s := r.Reflect(&Plan{})
	s.Title = "bakeoff plan"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// JSONSchema of a duration: a text.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:    "string",
		Pattern: `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`,
	}
}

// JSONSchema of a warm-up: one duration or two.
func (Warmup) JSONSchema() *jsonschema.Schema {
	s := Duration(0).JSONSchema()
	one := strings.TrimSuffix(strings.TrimPrefix(s.Pattern, "^"), "$")
	s.Pattern = "^" + one + "( to " + one + ")?$"
	return s
}

// JSONSchema of turns: a duration or off.
func (Turns) JSONSchema() *jsonschema.Schema {
	s := Duration(0).JSONSchema()
	s.Pattern = "^off$|" + s.Pattern
	return s
}

// JSONSchema of a delta: a percentage.
func (Delta) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]*)?|\.[0-9]+)%$`}
}

// JSONSchema of cores: a number, or a text.
func (Cores) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "string", Pattern: coresText.String(), Not: &jsonschema.Schema{Pattern: `^0(\.0*)?$`}},
		{Type: "number", Minimum: "0.001", Maximum: "999999"},
	}}
}

// JSONSchema of bytes: a text.
func (Bytes) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: bytesText.String()}
}

// JSONSchemaExtend lets a target be a bare string, and says which keys go with which kind.
func (Target) JSONSchemaExtend(s *jsonschema.Schema) {
	names(s, "settings", settingText.String(), settingsOfContract)
	s.AllOf = []*jsonschema.Schema{whenElse("kind", KindURL,
		&jsonschema.Schema{Required: []string{"name", "url"}, Not: anyOf("recipe", "variant", "server", "settings", "replicas", "workers", "pool", "sweep", "setting_of")},
		whenElse("kind", KindDriver,
			&jsonschema.Schema{Not: anyOf("recipe", "variant", "server", "settings", "replicas", "workers", "pool", "sweep", "setting_of", "url", "expect", "tls")},
			&jsonschema.Schema{Required: []string{"recipe"}, Not: anyOf("url", "expect", "tls")}))}
	mapping := *s
	recipe, _ := s.Properties.Get("recipe")
	*s = jsonschema.Schema{
		Description: mapping.Description,
		OneOf:       []*jsonschema.Schema{recipe, &mapping},
	}
}

// JSONSchemaExtend bounds the values of axes as those of the target's own keys are.
func (Sweep) JSONSchemaExtend(s *jsonschema.Schema) {
	names(s, "settings", settingText.String(), settingsOfContract)
	for key, most := range map[string]json.Number{"workers": "256", "pool": "10000"} {
		axis, _ := s.Properties.Get(key)
		axis.Items.Minimum, axis.Items.Maximum = "1", most
	}
	for _, key := range []string{"variant", "server"} {
		axis, _ := s.Properties.Get(key)
		axis.Items.Pattern = nameText.String()
	}
}

// JSONSchemaExtend says what goes with running servers: nothing but them, and nothing around them.
func (Plan) JSONSchemaExtend(s *jsonschema.Schema) {
	running := property("kind", &jsonschema.Schema{Const: KindURL})
	secure := property("url", &jsonschema.Schema{Pattern: "^https:"})
	engine := property("agents", property("engine", &jsonschema.Schema{Const: "http"}))
	two := property("agents", property("http2", &jsonschema.Schema{Const: true}))
	encrypted := property("balancer", property("url", &jsonschema.Schema{Pattern: "^https:"}))
	alone := property("targets", &jsonschema.Schema{Items: running})
	alone.Properties.Set("phases", &jsonschema.Schema{Items: &jsonschema.Schema{Not: anyOf("lookups")}})
	alone.Required = nil
	alone.Not = anyOf("dataset", "database", "balancer", "deployment", "trust", "budget", "allow_unfair")
	brought := property("balancer", property("kind", &jsonschema.Schema{Enum: []any{BalancerService, BalancerIngress, BalancerGateway}}))
	s.AllOf = []*jsonschema.Schema{
		{If: brought, Then: &jsonschema.Schema{Required: []string{"kubernetes"}}},
		{If: property("targets", &jsonschema.Schema{Contains: running}), Then: alone},
		{If: property("targets", &jsonschema.Schema{Contains: secure}), Then: engine},
		{If: encrypted, Then: engine},
		{If: two, Then: engine},
		{If: two, Then: property("targets", &jsonschema.Schema{Items: running})},
	}
}

// property holds for an object whose key is there and as the schema says.
func property(key string, as *jsonschema.Schema) *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	properties.Set(key, as)
	return &jsonschema.Schema{Type: "object", Properties: properties, Required: []string{key}}
}

// JSONSchemaExtend says which keys go with which model.
func (Phase) JSONSchemaExtend(s *jsonschema.Schema) {
	if name, ok := s.Properties.Get("name"); ok {
		name.Not = &jsonschema.Schema{Enum: []any{"warmup", "pilot"}}
	}
	s.AllOf = []*jsonschema.Schema{
		when("model", "closed", &jsonschema.Schema{Required: []string{"connections"}, Not: anyOf("rate", "rate_of_pilot", "arrivals")}),
		when("model", "open", &jsonschema.Schema{
			OneOf: []*jsonschema.Schema{{Required: []string{"rate"}}, {Required: []string{"rate_of_pilot"}}},
			Not:   anyOf("ramp", "think"),
		}),
	}
}

// JSONSchemaExtend says which keys go with which kind of database.
func (Database) JSONSchemaExtend(s *jsonschema.Schema) {
	names(s, "settings", variableText.String(), ownVariables)
	external := &jsonschema.Schema{Required: []string{"dsn_file"}, Not: anyOf("server", "max_connections", "buffer_pool", "settings")}
	s.AllOf = []*jsonschema.Schema{whenElse("kind", "external", external, &jsonschema.Schema{Not: anyOf("dsn_file")})}
}

// JSONSchemaExtend says which keys go with which kind of balancer.
func (Balancer) JSONSchemaExtend(s *jsonschema.Schema) {
	if ports, ok := s.Properties.Get("replica_ports"); ok {
		ports.Items.Minimum, ports.Items.Maximum = "1", "65535"
	}
	keys := []string{"url", "replica_ports"}
	s.AllOf = []*jsonschema.Schema{whenElse("kind", "external", &jsonschema.Schema{Required: keys}, &jsonschema.Schema{Not: anyOf(keys...)})}
	s.AllOf = append(s.AllOf, when("kind", BalancerIngress, &jsonschema.Schema{Required: []string{"host"}}),
		when("kind", BalancerGateway, &jsonschema.Schema{Required: []string{"host", "name", "address"}}))
	keyed := balancerKeys()
	for _, key := range slices.Sorted(maps.Keys(keyed)) {
		kinds := &jsonschema.Schema{}
		for _, kind := range keyed[key] {
			kinds.Enum = append(kinds.Enum, kind)
		}
		s.AllOf = append(s.AllOf, &jsonschema.Schema{If: &jsonschema.Schema{Required: []string{key}}, Then: property("kind", kinds)})
	}
}

// JSONSchemaExtend wants at least one collector.
func (Collect) JSONSchemaExtend(s *jsonschema.Schema) { s.AnyOf = anyOf("influxdb", "otlp").AnyOf }

// JSONSchemaExtend has authorities be for https.
func (OTLP) JSONSchemaExtend(s *jsonschema.Schema) {
	s.AllOf = []*jsonschema.Schema{{If: &jsonschema.Schema{Required: []string{"ca_file"}}, Then: property("url", &jsonschema.Schema{Pattern: "^https:"})}}
}

// JSONSchemaExtend wants a database, or a bucket with its organisation.
func (InfluxDB) JSONSchemaExtend(s *jsonschema.Schema) {
	server := &jsonschema.Schema{Required: []string{"url"}, OneOf: []*jsonschema.Schema{
		{Required: []string{"database"}, Not: anyOf("bucket", "org")},
		{Required: []string{"bucket", "org"}, Not: anyOf("database")},
	}}
	managed := &jsonschema.Schema{Not: anyOf("url", "database", "bucket", "org", "user", "password_file", "token_file", "ca_file")}
	for _, key := range []string{"database", "bucket", "org"} {
		name, _ := s.Properties.Get(key)
		name.Pattern = bucketText.String()
	}
	s.AllOf = []*jsonschema.Schema{
		whenElse("kind", KindManaged, managed, server),
		{If: &jsonschema.Schema{Required: []string{"password_file"}}, Then: &jsonschema.Schema{Required: []string{"user"}}},
		{Not: &jsonschema.Schema{Required: []string{"user", "token_file"}}},
		{If: &jsonschema.Schema{Required: []string{"ca_file"}}, Then: property("url", &jsonschema.Schema{Pattern: "^https:"})},
	}
	mapping := *s
	kind, _ := s.Properties.Get("kind")
	*s = jsonschema.Schema{Description: mapping.Description, OneOf: []*jsonschema.Schema{kind, &mapping}}
}

// when is: if the key has the value, then the schema holds.
func when(key, value string, then *jsonschema.Schema) *jsonschema.Schema {
	return whenElse(key, value, then, nil)
}

func whenElse(key, value string, then, otherwise *jsonschema.Schema) *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	properties.Set(key, &jsonschema.Schema{Const: value})
	return &jsonschema.Schema{
		If:   &jsonschema.Schema{Properties: properties, Required: []string{key}},
		Then: then,
		Else: otherwise,
	}
}

// anyOf holds where one of the keys is present.
func anyOf(keys ...string) *jsonschema.Schema {
	out := &jsonschema.Schema{}
	for _, key := range keys {
		out.AnyOf = append(out.AnyOf, &jsonschema.Schema{Required: []string{key}})
	}
	return out
}

// names gives the keys of a mapping a pattern, and takes those out that have other places.
func names(s *jsonschema.Schema, key, pattern string, reserved map[string]string) {
	not := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Pattern: "^(BAKEOFF_|LD_|PATH$)"}, {}}}
	for _, name := range sortedKeys(reserved) {
		not.AnyOf[1].Enum = append(not.AnyOf[1].Enum, name)
	}
	if m, ok := s.Properties.Get(key); ok {
		m.PropertyNames = &jsonschema.Schema{Pattern: pattern, Not: not}
	}
}

// commentsOf maps "Type." and "Type.Field" to their comments in a Go source.
func commentsOf(t *testing.T, source string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "plan.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		spec := gen.Specs[0].(*ast.TypeSpec)
		out[spec.Name.Name+"."] = sentence(gen.Doc)
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range fields.Fields.List {
			out[spec.Name.Name+"."+f.Names[0].Name] = sentence(f.Doc)
		}
	}
	return out
}

func sentence(c *ast.CommentGroup) string {
	return strings.Join(strings.Fields(c.Text()), " ")
}
