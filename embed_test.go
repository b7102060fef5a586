package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bakeoff/internal/target"
)

// TestCarriedTargetsAreThoseOfTheFolder compares the digests of the folders with what is carried: the same
// files, no fewer, and nothing that a digest does not cover.
func TestCarriedTargetsAreThoseOfTheFolder(t *testing.T) {
	carried, err := fs.Sub(assets, "targets")
	if err != nil {
		t.Fatal(err)
	}
	names, err := target.List(os.DirFS("targets"))
	if err != nil {
		t.Fatal(err)
	}
	if inside, err := target.List(carried); err != nil || !slices.Equal(inside, names) || len(names) < 5 {
		t.Fatalf("carried are %v (%v), there are %v", inside, err, names)
	}
	for _, name := range names {
		there, err := target.Load(os.DirFS("targets"), name, "")
		if err != nil {
			t.Fatal(err)
		}
		inside, err := target.Load(carried, name, "")
		if err != nil {
			t.Fatal(err)
		}
		if inside.Digest() != there.Digest() {
			t.Errorf("%s: what is carried is not what the folder holds: give files and folders whose name begins with n a dot", name)
		}
		covered := inside.Files()
		err = fs.WalkDir(carried, name, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && !slices.Contains(covered, strings.TrimPrefix(path, name+"/")) {
				t.Errorf("%s is carried, and no digest covers it", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatABuildCarries asks the compiler's own list for a copy of the sources in which things lie that must not
// be inside, and a new target that must.
func TestWhatABuildCarries(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"targets", "plans", "internal"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		if err := os.Link(name, filepath.Join(dir, name)); err != nil {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, name), string(data))
		}
	}
	wanted := []string{"targets/newcomer/target.yaml", "targets/newcomer/Dockerfile", "targets/newcomer/next.config.js", "targets/newcomer/src/deep/main.rs", "targets/flask/src/more.py"}
	refused := []string{
		"targets/flask/.env", "targets/flask/.git/config", "targets/flask/src/.env", "targets/flask/_private", "targets/flask/__pycache__/app.pyc",
		"targets/node-fastify/node_modules/x/index.js", "targets/.env", "targets/notes.txt", ".env", "plans/.secret.yml", "plans/notes.txt",
	}
	for _, name := range slices.Concat(wanted, refused) {
		put(t, filepath.Join(dir, name), "canary")
	}
	cmd := exec.Command("go", "list", "-e", "-f", `{{join .EmbedFiles "\n"}}`, ".")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	carried := strings.Fields(string(out))
	for _, name := range wanted {
		if !slices.Contains(carried, name) {
			t.Errorf("%s is not carried", name)
		}
	}
	for _, name := range refused {
		if slices.Contains(carried, name) {
			t.Errorf("%s is carried", name)
		}
	}
	if len(carried) < 40 {
		t.Errorf("%d files are carried", len(carried))
	}
}

// TestMeasuredSourcesAreCarried: every source file of what a calibration measures and is measured by, with all of this module that the
// agents and the server are made of.
func TestMeasuredSourcesAreCarried(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`, "./internal/fleet", "./internal/null").Output()
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{"internal/balancer", "internal/calibrate"}
	for _, name := range strings.Fields(string(out)) {
		folder, inside := strings.CutPrefix(name, "bakeoff/")
		if !inside || folder == "internal/platform" || folder == "internal/yardstick" { // interfaces; a piece of work that no ceiling has in it
			continue
		}
		parts = append(parts, folder)
	}
	for _, folder := range parts {
		there, err := filepath.Glob(folder + "/*.*")
		if err != nil {
			t.Fatal(err)
		}
		carried, err := fs.Glob(assets, folder+"/*.*")
		if err != nil || !slices.Equal(carried, there) || len(there) == 0 {
			t.Errorf("of %s are carried %v (%v), there are %v: name them in main.go", folder, carried, err, there)
		}
	}
	entries, err := fs.ReadDir(assets, "internal")
	if err != nil || len(entries) != len(parts) || len(parts) < 6 {
		t.Errorf("%d packages are carried (%v), there are %v", len(entries), err, parts)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
