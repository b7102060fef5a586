package strictyaml

import (
	"fmt"
	"io"
	"io/fs"
)

// MaxBytes is the greatest length of a file that is read: 1 MiB.
const (
	MaxBytes  = 1 << 20
	limitText = "1 MiB"
)

// ReadFS reads a file of a file system, with the same refusals.
func ReadFS(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if err := readable(name, info); err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(name, f)
}

// Read reads all of r, and refuses as soon as it has seen more than MaxBytes. The name
// is used in messages only.
func Read(name string, r io.Reader) ([]byte, error) { return read(name, r) }

func readable(name string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return Problems{{File: name, Message: "is not a regular file"}}
	case info.Size() > MaxBytes:
		return Problems{{File: name, Message: fmt.Sprintf("is larger than %s (%d bytes), not read", limitText, info.Size())}}
	}
	return nil
}

// read reads at most MaxBytes: a file may grow after it was looked at.
func read(name string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > MaxBytes {
		return nil, Problems{{File: name, Message: "is larger than " + limitText}}
	}
	return data, nil
}
