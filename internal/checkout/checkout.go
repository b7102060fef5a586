// Package checkout reads versions of a folder out of a git repository: which commit a name means, whether the working
// tree has changes, and the files of a commit, written into a folder elsewhere.
//
// It uses the git program and leaves no trace in the repository: the files are written through an index of its own, so
// that no work tree is registered that a kill could leave behind. No hook, file system monitor or filter that writes files
// runs, and git may use no transport: what is not in the repository, such as the content of a pointer of git-lfs, is an error,
// not a download. Whether a file has changed is asked with the repository's own clean filters, since git knows no other way.
package checkout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrNoRepository is returned for a folder that lies in no git repository, and where there is no git.
var ErrNoRepository = errors.New("no git repository")

// Folder is a folder in a repository's working tree. It need not exist there.
type Folder struct {
	root string // of the working tree
	path string // of the folder within it, with slashes; "." for the root
}

// Find finds the repository that holds a folder.
func Find(ctx context.Context, dir string) (Folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Folder{}, fmt.Errorf("checkout: %w", err)
	}
	there, below := existing(dir)
	root, err := run(ctx, there, nil, nil, "rev-parse", "--show-toplevel")
	var git *gitError
	if errors.As(err, &git) && strings.Contains(git.said, "not a git repository") || errors.Is(err, exec.ErrNotFound) {
		return Folder{}, fmt.Errorf("%s: %w", dir, ErrNoRepository)
	}
	if err != nil {
		return Folder{}, err
	}
	real, err := filepath.EvalSymlinks(there)
	if err != nil {
		return Folder{}, fmt.Errorf("checkout: %w", err)
	}
	top := strings.TrimSuffix(string(root), "\n")
	path, err := filepath.Rel(top, filepath.Join(real, below))
	if err != nil {
		return Folder{}, fmt.Errorf("checkout: %w", err)
	}
	return Folder{root: top, path: filepath.ToSlash(path)}, nil
}

// existing splits a path into the longest part that is a folder, and the rest.
func existing(dir string) (there, below string) {
	for there = dir; ; there = filepath.Dir(there) {
		if info, err := os.Stat(there); err == nil && info.IsDir() || there == filepath.Dir(there) {
			return there, below
		}
		below = filepath.Join(filepath.Base(there), below)
	}
}

// Path is that of the folder within the repository, with slashes.
func (f Folder) Path() string { return f.path }

// Commit is the commit that a name means, in hexadecimal.
func (f Folder) Commit(ctx context.Context, name string) (string, error) {
	if strings.HasPrefix(name, "-") {
		return "", fmt.Errorf("%q names no commit", name)
	}
	out, err := run(ctx, f.root, nil, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	var git *gitError
	if errors.As(err, &git) {
		return "", fmt.Errorf("%q names no commit in %s", name, f.root)
	}
	return strings.TrimSpace(string(out)), err
}

// Dirty reports whether the working tree has changes in the folder that are in no commit, new files that are not ignored among
// them.
func (f Folder) Dirty(ctx context.Context) (bool, error) {
	out, err := run(ctx, f.root, nil, nil, "status", "--porcelain", "--untracked-files=all", "--", f.path)
	return len(out) > 0, err
}

// Write writes the folder's files as they are in a commit into the folder at, which it makes. It fails where the commit has
// none, where one is a submodule or a pointer of git-lfs, whose content is not in the repository, and where a filter would
// have to write one.
func (f Folder) Write(ctx context.Context, commit, at string) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	index := at + ".index"
	defer os.Remove(index) //nolint:errcheck // the owner of the folder around it removes it too
	env := []string{"GIT_INDEX_FILE=" + index}
	if _, err := run(ctx, f.root, env, nil, "read-tree", commit); err != nil {
		return err
	}
	list, err := run(ctx, f.root, env, nil, "ls-files", "--stage", "-z", "--", f.path)
	if err != nil {
		return err
	}
	names, err := f.files(list, commit)
	if err != nil {
		return err
	}
	off, err := f.unfiltered(ctx, env, names, commit)
	if err != nil {
		return err
	}
	whole := at + ".whole" // paths in it are those of the repository
	defer os.RemoveAll(whole)
	if _, err := run(ctx, f.root, env, names, append(off, "checkout-index", "-z", "--stdin", "--prefix="+whole+"/")...); err != nil {
		return err
	}
	if err := f.whole(names, whole, commit); err != nil {
		return err
	}
	if err := os.Remove(at); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	if err := os.Rename(filepath.Join(whole, filepath.FromSlash(f.path)), at); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	return nil
}

// files are the names in a list of git ls-files --stage -z, each ended by a NUL.
func (f Folder) files(list []byte, commit string) ([]byte, error) {
	var names []byte
	for entry := range bytes.SplitSeq(list, []byte{0}) {
		head, name, found := bytes.Cut(entry, []byte{'\t'})
		switch {
		case !found:
		case bytes.HasPrefix(head, []byte("160000 ")):
			return nil, fmt.Errorf("%s at %.12s holds the submodule %s, whose files are not in the repository", f.path, commit, name)
		default:
			names = append(append(names, name...), 0)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("commit %.12s has no folder %s", commit, f.path)
	}
	return names, nil
}

// gitError is what git said when it failed.
type gitError struct {
	command string
	said    string
}

func (e *gitError) Error() string { return "git " + e.command + ": " + e.said }

const (
	// patience bounds one command of git, and lastWords is how long its output is waited for once it has ended.
	patience  = 2 * time.Minute
	lastWords = time.Second
)

// run runs git in a folder and returns what it printed.
func run(ctx context.Context, dir string, env []string, stdin []byte, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	cmd.Env = append(environment(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // git's children end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lastWords
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("git %s: %w", commandOf(args), context.Cause(ctx))
	case errors.As(err, &exit):
		return nil, &gitError{commandOf(args), strings.TrimSpace(said.String())}
	case err != nil:
		return nil, fmt.Errorf("git: %w", err)
	}
	return out.Bytes(), nil
}

// commandOf is the command among git's arguments, after its settings.
func commandOf(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}

// environment is this process's own, without what would make git look at another repository, or ask somebody. The language is
// the one whose messages are known.
func environment() []string {
	out := []string{}
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !strings.HasPrefix(name, "GIT_") || strings.HasPrefix(name, "GIT_CONFIG_") {
			out = append(out, pair)
		}
	}
	return append(out, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
}
