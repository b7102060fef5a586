package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// writeAsked writes a text into the file that a flag names, as a whole or not at all; nothing is written where it names none.
func writeAsked(flag, path string, text *bytes.Buffer) error {
	if path == "" {
		return nil
	}
	err := writeFile(path, 0o644, func(w io.Writer) error {
		_, err := text.WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

// writeFile has a file written, as a whole or not at all. A link leads to its file. What is no file, such as a pipe or /dev/null, and
// what this process has open already, such as /dev/stdout, cannot be replaced: it is written to.
func writeFile(path string, mode os.FileMode, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	switch {
	case err != nil && !os.IsNotExist(err):
		return err
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case err == nil && (!info.Mode().IsRegular() || isOpen(path)):
		return writeInto(path, write)
	case err == nil:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	file, err := renameio.NewPendingFile(path, renameio.WithPermissions(mode))
	if err != nil {
		return err
	}
	defer file.Cleanup() // after success it does nothing
	if err := write(file); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

// isOpen reports whether a path names what a process has open.
func isOpen(path string) bool {
	whole, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for _, begin := range []string{"/dev/std", "/dev/fd/", "/proc/"} {
		if strings.HasPrefix(whole, begin) {
			return true
		}
	}
	return false
}

// writeInto writes to what is there, behind what it holds.
func writeInto(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
