// Package targets holds the recipes and the programs under test as files; a
// new target is a new folder. They are carried inside the binary.
package targets

import (
	"embed"
	"io/fs"
)

//go:embed *
var files embed.FS

// Files returns the folder: one sub-folder per target, with its target.yaml.
func Files() fs.FS { return files }
