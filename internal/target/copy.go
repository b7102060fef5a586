package target

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// CopyAs writes the recipe's folder to dir, which must not exist, as that of a
// target of another name, and reads it back.
func (r *Recipe) CopyAs(dir, name string) (*Recipe, error) {
	if !nameRule.MatchString(name) {
		return nil, fmt.Errorf("target: %q is not the name of a target (small letters, digits and -, at most 63)", name)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	copied, err := r.copyAs(dir, name)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return copied, nil
}

func (r *Recipe) copyAs(dir, name string) (*Recipe, error) {
	err := eachFile(r.files, func(file string, data []byte) error {
		if file == recipeFile {
			data = named(data, name)
		}
		to := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	return LoadFolder(dir, "")
}

// named is a recipe or a plan with another name; everything else stays, comments too.
func named(text []byte, name string) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if bytes.HasPrefix(line, []byte("name:")) {
			lines[i] = []byte("name: " + name)
		}
	}
	return bytes.Join(lines, []byte("\n"))
}
