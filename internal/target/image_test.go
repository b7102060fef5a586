package target_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/database"
	"bakeoff/internal/target"
)

// In an image a target is started from the image's folders, with tools by name, and nothing of this machine.
func TestSpecInImage(t *testing.T) {
	names, err := target.List(os.DirFS("../../targets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			r := shipped(t, name, "")
			if !r.HasImage() {
				t.Error("has no Dockerfile")
			}
			spec, err := target.Launch{
				Prepared: target.InImage(r), Host: "0.0.0.0", Name: name + "-1", Port: 8080, Workers: 3, Pool: 5,
				Database: database.Access{Host: "db", Port: 3306, User: "u", Name: "n"},
			}.Spec()
			if err != nil {
				t.Fatal(err)
			}
			if spec.Dir != "/bakeoff/recipe" {
				t.Errorf("folder %s", spec.Dir)
			}
			if first := spec.Argv[0]; strings.HasPrefix(first, "/") && !strings.HasPrefix(first, "/bakeoff/build/") {
				t.Errorf("command %q", spec.Argv)
			}
			for _, want := range []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOST=0.0.0.0", "PORT=8080", "WORKERS=3", "DATABASE_POOL=5", "DATABASE_HOST=db", "HOME=/bakeoff/build"} {
				if !slices.Contains(spec.Env, want) {
					t.Errorf("no %s in %q", want, spec.Env)
				}
			}
			if left := strings.Join(append(spec.Argv, spec.Env...), " "); strings.ContainsAny(left, "{}") {
				t.Errorf("a placeholder is left: %s", left)
			}
		})
	}
}
