// Package kubetest compares rendered objects with what a cluster's API takes, without a cluster: by the schemas of
// Kubernetes 1.37. They find wrong types and fields that do not exist; selectors, quantities, names and rights
// need an API server.
package kubetest

import (
	"bytes"
	_ "embed"
	"fmt"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bakeoff/internal/platform/kube"
)

// schemas are made by scripts/kube-schemas.
//
//go:embed schemas.json
var schemas []byte

const location = "kubernetes.json"

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
	return c, c.AddResource(location, doc)
}

// check compares one object with the schema of its kind.
func check(c *jsonschema.Compiler, kind string, object []byte) error {
	schema, err := c.Compile(location + "#/kinds/" + kind)
	if err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(object))
	if err != nil {
		return fmt.Errorf("kubetest: %w", err)
	}
	return schema.Validate(tree)
}
