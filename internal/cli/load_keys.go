package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"bakeoff/internal/endpoint"
	"bakeoff/internal/scratch"
)

// keysFile is the whole path of a file that holds the keys. What can be read only once, as a pipe can, is put
// aside, since each agent reads them.
func (f *loadFlags) keysFile(env Env) (string, error) {
	if f.keys == "-" {
		return f.putAside(env.Stdin)
	}
	info, err := os.Stat(f.keys)
	if err != nil {
		return "", fmt.Errorf("keys: %w", err)
	}
	if info.Mode().IsRegular() {
		return filepath.Abs(f.keys)
	}
	if info.IsDir() {
		return "", fmt.Errorf("keys: %s is a folder", f.keys)
	}
	file, err := os.Open(f.keys)
	if err != nil {
		return "", fmt.Errorf("keys: %w", err)
	}
	defer file.Close()
	return f.putAside(file)
}

// putAside copies keys into a folder that clean knows.
func (f *loadFlags) putAside(in io.Reader) (string, error) {
	dir, forget, err := scratch.New("load")
	if err != nil {
		return "", err
	}
	f.forget = forget
	path := filepath.Join(dir, "keys")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("keys: %w", err)
	}
	n, err := io.Copy(file, io.LimitReader(in, endpoint.KeysLimit+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("keys: %w", err)
	}
	if n > endpoint.KeysLimit {
		return "", endpoint.ErrTooManyKeys
	}
	return path, nil
}
