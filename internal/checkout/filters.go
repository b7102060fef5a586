package checkout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lfs is the filter whose files are known by what is in them: they may be in the repository all the same.
const lfs = "lfs"

// unfiltered are the settings of git with which no filter writes a file. It refuses files that one would have to write.
func (f Folder) unfiltered(ctx context.Context, env []string, names []byte, commit string) (off []string, err error) {
	filters, err := f.filters(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range filters {
		if strings.Contains(name, "=") {
			return nil, fmt.Errorf("git's filter %q cannot be switched off by its name", name)
		}
		off = append(off, "-c", "filter."+name+".smudge=", "-c", "filter."+name+".process=", "-c", "filter."+name+".required=false")
	}
	said, err := run(ctx, f.root, env, names, "check-attr", "--cached", "-z", "--stdin", "filter")
	if err != nil {
		return nil, err
	}
	for fields := bytes.Split(said, []byte{0}); len(fields) > 3; fields = fields[3:] { // path, attribute, value
		if value := string(fields[2]); value != lfs && slices.Contains(filters, value) {
			return nil, fmt.Errorf("%s at %.12s holds %s, which git's filter %s would have to write, and no filter is run", f.path, commit, fields[0], value)
		}
	}
	return off, nil
}

// filters are the names of those that git is set to write files with.
func (f Folder) filters(ctx context.Context) ([]string, error) {
	said, err := run(ctx, f.root, nil, nil, "config", "-z", "--name-only", "--get-regexp", `^filter\..*\.(smudge|process)$`)
	var git *gitError
	if errors.As(err, &git) && git.said == "" { // there is none
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for key := range strings.SplitSeq(strings.TrimSuffix(string(said), "\x00"), "\x00") {
		name := strings.TrimPrefix(key, "filter.")
		name = name[:max(0, strings.LastIndex(name, "."))]
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// pointer is how a file begins that git-lfs has put in the place of another one.
const pointer = "version https://git-lfs.github.com/spec/"

// whole refuses files in the folder at whose content is not in the repository.
func (f Folder) whole(names []byte, at, commit string) error {
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		path := filepath.Join(at, filepath.FromSlash(name))
		info, err := os.Lstat(path)
		if err != nil {
			return fmt.Errorf("checkout: %w", err)
		}
		if !info.Mode().IsRegular() || info.Size() < int64(len(pointer)) {
			continue
		}
		begins, err := beginning(path)
		if err != nil {
			return fmt.Errorf("checkout: %w", err)
		}
		if begins == pointer {
			return fmt.Errorf("%s at %.12s holds %s, a pointer of git-lfs, whose content is not in the repository", f.path, commit, name)
		}
	}
	return nil
}

// beginning is the first part of a file, as long as a pointer's.
func beginning(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() // opened for reading
	text := make([]byte, len(pointer))
	_, err = io.ReadFull(file, text)
	return string(text), err
}
