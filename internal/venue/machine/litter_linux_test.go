package machine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// What an account of a trial owns in folders that are open to all is removed, with its shared memory, and nothing else is.
func TestRemoveLitter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root")
	}
	const account, other = firstAccount + 7, firstAccount + 8
	dir := t.TempDir()
	for path, owner := range map[string]int{
		"file": account, "folder/": account, "folder/of-root": 0, "of-another": other, "open/": 0, "open/file": account, "open/of-another": other,
		"closed/": 0, "closed/file": account,
	} {
		full := filepath.Join(dir, path)
		if path[len(path)-1] == '/' {
			if err := errors.Join(os.MkdirAll(full, 0o755), os.Chown(full, owner, owner)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, nil, 0o600), os.Chown(full, owner, owner)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(filepath.Join(dir, "folder"), account, account), os.Chmod(filepath.Join(dir, "open"), 0o1777),
		os.Symlink("/etc", filepath.Join(dir, "link")), os.Lchown(filepath.Join(dir, "link"), account, account)); err != nil {
		t.Fatal(err)
	}
	owned, foreign := segment(t, account), segment(t, other)
	if err := removeLitter(strconv.Itoa(account), dir, filepath.Join(dir, "nowhere")); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	within, err2 := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, path := range append(found, within...) {
		name, _ := filepath.Rel(dir, path)
		left = append(left, name)
	}
	slices.Sort(left)
	if want := []string{"closed", "closed/file", "of-another", "open", "open/of-another"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if slices.Contains(systemV("shm", strconv.Itoa(account)), owned) || !slices.Contains(systemV("shm", strconv.Itoa(other)), foreign) {
		t.Error("the segment of the account is left, or that of another one is not")
	}
	if _, err := os.Stat("/etc"); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "0", "1000", "root", strconv.Itoa(lastAccount + 1)} {
		if err := removeLitter(wrong, dir); err == nil {
			t.Errorf("account %q: no error", wrong)
		}
	}
}

// Where another folder has the name by the time that it is opened nothing of that is removed.
func TestRemoveLitterOfAnotherFolder(t *testing.T) {
	dir, here := t.TempDir(), uint32(os.Geteuid())
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(path("open"), 0o700), os.Mkdir(path("other"), 0o700), os.WriteFile(path("other/file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	was, err := os.Lstat(path("open"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(path("open"), path("moved")), os.Symlink("other", path("open"))); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := removeBelow(root, was, here); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path("other/file")); err != nil {
		t.Errorf("removed by another name: %v", err)
	}
	if err := errors.Join(os.Remove(path("open")), os.Rename(path("other"), path("open"))); err != nil {
		t.Fatal(err)
	}
	if was, err = os.Lstat(path("open")); err != nil {
		t.Fatal(err)
	}
	if err := removeBelow(root, was, here); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path("open/file")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// segment is a System V segment that an account owns.
func segment(t *testing.T, account uint32) int {
	t.Helper()
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		t.Skipf("SKIPPED: no shared memory: %v", err)
	}
	t.Cleanup(func() { _ = removeSegment(id) })
	var of unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &of); err != nil {
		t.Fatal(err)
	}
	of.Perm.Uid = account
	if _, err := unix.SysvShmCtl(id, unix.IPC_SET, &of); err != nil {
		t.Fatal(err)
	}
	return id
}
