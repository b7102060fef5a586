package database

import (
	"errors"
	"path/filepath"

	"bakeoff/internal/scratch"
)

// keepPassword writes the password that targets use to a file of mode 0600 for
// commands that people repeat while a run lasts. It is in a temporary folder, never in the run
// directory, so that no run that is kept, sent or published holds it: forget removes
// it, and scratch.Sweep does where its process was killed.
func keepPassword(password string) (path string, forget func() error, err error) {
	dir, forget, err := scratch.New("database")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "password")
	if err := writeFile(path, password+"\n"); err != nil {
		return "", nil, errors.Join(err, forget())
	}
	return path, forget, nil
}
