package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A target runs under an account of its own where bakeoff is root, and reads there what was prepared. So what the steps
// made is opened to all, for reading only: nobody but root may change it.

// publish opens what was prepared so far, where bakeoff is root.
func (p *Prepared) publish() error {
	if os.Geteuid() != 0 {
		return nil
	}
	home := filepath.Dir(p.Dir)
	for _, dir := range []string{filepath.Dir(home), home, p.Dir} {
		if err := allow(dir, 0o011); err != nil { // to pass, not to list
			return fmt.Errorf("open to other accounts: %w", err)
		}
	}
	for _, top := range []string{recipeDir, buildDir} {
		err := filepath.WalkDir(filepath.Join(p.Dir, top), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || entry.Type()&^fs.ModeDir != 0 { // neither a file nor a folder
				return err
			}
			return allow(path, 0)
		})
		if err != nil {
			return fmt.Errorf("open to other accounts: %w", err)
		}
	}
	return nil
}

// allow gives all what the owner of a file or folder may do with it except for writing; only is the part of it that counts, 0: all. A
// program that runs with the rights of its owner or group loses that: a target could have made it for itself.
func allow(path string, only fs.FileMode) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	readable := mode >> 6 & 0o5
	more := readable | readable<<3
	if only != 0 {
		more &= only
	}
	var lent fs.FileMode
	if info.Mode().IsRegular() {
		lent = info.Mode() & (fs.ModeSetuid | fs.ModeSetgid)
	}
	if mode|more == mode && lent == 0 {
		return nil
	}
	return os.Chmod(path, (info.Mode()|more)&^lent)
}

// Public reports whether every account can reach and read what was prepared, and the tools that it was prepared with.
func (p *Prepared) Public() bool {
	if !Passable(filepath.Join(p.Dir, recipeDir)) || !Passable(filepath.Join(p.Dir, buildDir)) {
		return false
	}
	for _, n := range p.Recipe.spec.Needs {
		if tool := p.tools[n.Tool]; tool != "" && !n.Optional && hidden(tool) != 0 {
			return false
		}
	}
	return true
}

// Passable reports whether every account may pass through all folders of an absolute path.
func Passable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return dir == "/"
		}
	}
}
