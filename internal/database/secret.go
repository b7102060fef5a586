package database

import (
	"errors"
	"os"
	"path/filepath"
)

// keepPassword writes the password that targets use to a file of mode 0600 for
// commands that people repeat while a run lasts. It is in a temporary folder, never in the run
// directory, so that no run that is kept, sent or published holds it: forget removes
// it, and Sweep does where its process was killed.
func keepPassword(password string) (path string, forget func() error, err error) {
	dir, err := os.MkdirTemp("", basePrefix)
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "password")
	if err = writeFile(filepath.Join(dir, ownerName), self()); err == nil {
		err = writeFile(path, password+"\n")
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return path, func() error { return os.RemoveAll(dir) }, nil
}
