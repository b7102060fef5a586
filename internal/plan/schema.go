package plan

import (
	"bytes"
	_ "embed"
)

// schema is generated: go test ./internal/plan -run SchemaIsCurrent -update.
//
//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of a plan, made from its types and
// their comments. It is what an editor needs; Load knows more (what depends on
// several values, what may be sent where).
func Schema() []byte { return bytes.Clone(schema) }
