// Package plans holds the plans that bakeoff ships as files. They are carried
// inside the binary.
package plans

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml
var files embed.FS

// Files returns the folder: one YAML file per plan.
func Files() fs.FS { return files }
