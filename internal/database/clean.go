package database

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CleanCache removes every filled table in a cache folder and returns how many bytes that were. Anyone who is
// just copying one finds it gone and fills the table itself.
func CleanCache(dir string) (bytes int64, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	errs := []error{err}
	for _, entry := range entries {
		away := filepath.Join(dir, temporaryPrefix+rand.Text())
		if err := os.Rename(filepath.Join(dir, entry.Name()), away); err != nil {
			errs = append(errs, err)
			continue
		}
		bytes += sizeOf(away)
		errs = append(errs, os.RemoveAll(away))
	}
	if err := errors.Join(errs...); err != nil {
		return bytes, fmt.Errorf("database: clean: %w", err)
	}
	return bytes, nil
}

// sizeOf is the length of all files below a path.
func sizeOf(path string) (bytes int64) {
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // removed since
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
