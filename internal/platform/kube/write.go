package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// JSON is the object as the cluster's API takes it.
func (o Object) JSON() ([]byte, error) {
	tree, err := o.tree()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("kube: %s %s: %w", o.Kind, o.Name, err)
	}
	return data, nil
}

// Write prints objects as a stream of YAML documents, in their order, each with its keys sorted.
func Write(w io.Writer, objects []Object) error {
	for _, o := range objects {
		tree, err := o.tree()
		if err != nil {
			return err
		}
		text, err := yaml.Dump(tree)
		if err != nil {
			return fmt.Errorf("kube: %s %s: %w", o.Kind, o.Name, err)
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// tree is the object without types, whole numbers as such. The API's types write some of what was never said, such as an empty
// status; who applies that would own it.
func (o Object) tree() (any, error) {
	data, err := json.Marshal(o.value)
	if err != nil {
		return nil, fmt.Errorf("kube: %s %s: %w", o.Kind, o.Name, err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("kube: %s %s: %w", o.Kind, o.Name, err)
	}
	unsaid(tree)
	return whole(tree)
}

// unsaid removes what the API's types write where nothing was said.
func unsaid(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			unsaid(item)
			empty, ok := item.(map[string]any)
			if ok && (key == "status" || len(empty) == 0 && slices.Contains([]string{"spec", "resources", "updateStrategy"}, key)) {
				delete(v, key)
			}
		}
	case []any:
		for _, item := range v {
			unsaid(item)
		}
	}
}

func whole(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			out, err := whole(item)
			if err != nil {
				return nil, err
			}
			v[key] = out
		}
	case []any:
		for i, item := range v {
			out, err := whole(item)
			if err != nil {
				return nil, err
			}
			v[i] = out
		}
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return nil, fmt.Errorf("kube: %s is not a whole number: %w", v, err)
		}
		return n, nil
	}
	return v, nil
}
