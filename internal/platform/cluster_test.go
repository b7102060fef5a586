package platform_test

import (
	"testing"

	"bakeoff/internal/platform"
)

// Images are the same by their digests, whatever repository a node names; by their names, where one has none.
func TestSameImage(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"r/x@sha256:1", "r/x@sha256:1", true},
		{"r/x@sha256:1", "mirror/y@sha256:1", true},
		{"r/x@sha256:1", "r/x@sha256:2", false},
		{"r/x@sha256:1", "sha256:1", false}, // that of a configuration
		{"sha256:1", "sha256:1", true},
		{"sha256:1", "sha256:2", false},
	} {
		if got := platform.SameImage(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
