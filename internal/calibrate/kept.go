package calibrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"bakeoff/internal/record"
)

// file is where the calibration of a machine is kept.
func file(cache, fingerprint string) string {
	return filepath.Join(cache, "calibration", filepath.Base(fingerprint)+".json")
}

// Keep keeps a calibration in the cache, in place of an earlier one of this machine, and returns where.
func Keep(cache string, c record.Calibration) (path string, err error) {
	path = file(cache, c.Fingerprint)
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", fmt.Errorf("calibrate: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("calibrate: %w", err)
	}
	if err := renameio.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return "", fmt.Errorf("calibrate: %w", err)
	}
	return path, nil
}

// Forget removes the calibration of a machine, and reports whether there was one.
func Forget(cache, fingerprint string) (bool, error) {
	err := os.Remove(file(cache, fingerprint))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("calibrate: %w", err)
	}
	return true, nil
}

// Kept is the calibration of a machine; nil where there is none.
func Kept(cache, fingerprint string) (*record.Calibration, error) {
	path := file(cache, fingerprint)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	var c record.Calibration
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("calibrate: %s: %w", path, err)
	}
	if c.Fingerprint != fingerprint {
		return nil, fmt.Errorf("calibrate: %s is of another machine", path)
	}
	return &c, nil
}
