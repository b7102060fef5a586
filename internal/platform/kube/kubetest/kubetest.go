// Package kubetest compares rendered objects with what a cluster's API takes, without a cluster: by the schemas of
// Kubernetes 1.37, and by the Gateway API's definition of HTTPRoute. They find wrong types and fields that do not exist; selectors, quantities, names and rights
// need an API server.
package kubetest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bakeoff/internal/platform/kube"
)

// schemas are made by scripts/kube-schemas, the definition of HTTPRoute by scripts/kube-httproute.
var (
	//go:embed schemas.json
	schemas []byte
	//go:embed httproute.json
	httpRoute []byte
)

const (
	location      = "kubernetes.json"
	routeLocation = "httproute.json"
)

// Validate fails for every object that is not as the API's schema of its kind.
func Validate(t testing.TB, objects []kube.Object) {
	t.Helper()
	c, err := compiler()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		data, err := o.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := check(c, o.Kind, data); err != nil {
			t.Errorf("%s %s: %v", o.Kind, o.Name, err)
		}
	}
}

// compiler knows the schemas.
func compiler() (*jsonschema.Compiler, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemas))
	if err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(location, doc); err != nil {
		return nil, fmt.Errorf("kubetest: %w", err)
	}
	route, err := routeSchema()
	if err != nil {
		return nil, fmt.Errorf("kubetest: HTTPRoute: %w", err)
	}
	return c, c.AddResource(routeLocation, route)
}

// routeSchema is that of the definition, whose objects take no other fields than they name.
func routeSchema() (any, error) {
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(httpRoute, &definition); err != nil {
		return nil, err
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(definition.Spec.Versions[0].Schema.OpenAPIV3Schema))
	if err != nil {
		return nil, err
	}
	strict(tree)
	return tree, nil
}

func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, object := v["properties"]; object {
			v["additionalProperties"] = false
		}
		for _, item := range v {
			strict(item)
		}
	case []any:
		for _, item := range v {
			strict(item)
		}
	}
}

// check compares one object with the schema of its kind.
func check(c *jsonschema.Compiler, kind string, object []byte) error {
	at := location + "#/kinds/" + kind
	if kind == "HTTPRoute" {
		at = routeLocation
	}
	schema, err := c.Compile(at)
	if err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(object))
	if err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	return schema.Validate(tree)
}
