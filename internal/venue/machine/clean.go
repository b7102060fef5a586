package machine

import (
	"errors"
	"os"
	"path/filepath"

	"bakeoff/internal/database"
	"bakeoff/internal/target"
)

// CleanCache removes prepared targets that no process uses, and filled tables.
func CleanCache(dir string) (target.Cleaned, error) {
	cleaned, err := target.CleanCache(filepath.Join(dir, "targets"))
	bytes, dataErr := database.CleanCache(filepath.Join(dir, "data"))
	cleaned.Bytes += bytes
	errs := []error{err, dataErr}
	logs, _ := filepath.Glob(filepath.Join(dir, "prepare-*.log")) // of earlier versions; the pattern is well formed
	for _, log := range logs {
		errs = append(errs, os.Remove(log))
	}
	return cleaned, errors.Join(errs...)
}
