package target

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
)

// eachFile calls f for every file of a recipe's folder in lexical order.
// Names that begin with a dot or an underscore and node_modules are left out,
// so that a folder on disk and the one inside the binary are the same.
func eachFile(fsys fs.FS, f func(name string, data []byte) error) error {
	return fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		hidden := name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "node_modules")
		switch {
		case hidden && entry.IsDir():
			return fs.SkipDir
		case hidden || entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s: is not a regular file", name)
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		return f(name, data)
	})
}

// mostBytes bounds a recipe's folder: what is larger holds data, or something that was built in it.
const mostBytes = 64 << 20

// digestOf is the SHA-256 of all names, lengths and contents, and that of each file alone.
func digestOf(fsys fs.FS) (digest string, contents map[string]string, err error) {
	sum, total, contents := sha256.New(), 0, map[string]string{}
	err = eachFile(fsys, func(name string, data []byte) error {
		if total += len(data); total > mostBytes {
			return fmt.Errorf("%s: the folder holds more than %d MiB up to here: a target is sources and lock files (names that begin with . or _ and node_modules do not count)",
				name, mostBytes>>20)
		}
		fmt.Fprintf(sum, "%d %s %d\n", len(name), name, len(data))
		sum.Write(data)
		alone := sha256.Sum256(data)
		contents[name] = hex.EncodeToString(alone[:])
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), contents, err
}
