package target

import (
	"fmt"
	"path"

	"bakeoff/internal/platform"
)

// An image of a target has in one folder what Prepare makes in the cache: the recipe's folder, and what is built.
const (
	imageDir = "/bakeoff"
	// ImageRecipe is the recipe's folder, ImageVersions what its command for versions printed.
	ImageRecipe   = imageDir + "/" + recipeDir
	ImageVersions = imageDir + "/versions.json"

	dockerfile = "Dockerfile"
)

// InImage is a recipe as its image has it. Tools are found there by their names.
func InImage(r *Recipe) *Prepared {
	tools := map[string]string{}
	for _, n := range r.spec.Needs {
		if n.Tool != "" && !n.Optional {
			tools[n.Tool] = path.Base(n.Tool)
		}
	}
	return &Prepared{Recipe: r, Dir: imageDir, Digest: r.digest, tools: tools}
}

// HasImage reports whether the recipe's folder says how to build its image.
func (r *Recipe) HasImage() bool { return r.contents[dockerfile] != "" }

// Spec is the process of a replica: what Start would start.
func (l Launch) Spec() (platform.Spec, error) {
	r, err := l.replica()
	if err != nil {
		return platform.Spec{}, fmt.Errorf("target: %s: %w", l.Name, err)
	}
	return r.spec, nil
}

// Attach is a replica that somebody else has started as Spec says: the process ids are those that it sees itself, address is where it
// serves, as host:port, and log is the file into which what it prints is copied. Who started it also ends it: Stop is not
// for it.
func (l Launch) Attach(process platform.Process, address, log string) (*Replica, error) {
	r, err := l.replica()
	if err != nil {
		return nil, fmt.Errorf("target: %s: %w", l.Name, err)
	}
	r.process, r.address, r.spec.Log, r.tail.path = process, address, log, log
	return r, nil
}
