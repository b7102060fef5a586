package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a target leaves in folders that are open to all, and in shared memory, would outlive its processes: the next trial had less
// memory, and could read it. Where a trial had an account of its own, what belongs to that is removed once its processes have ended.

// openToAll are the folders that every account may write to, most of them in memory.
func openToAll() []string {
	return []string{"/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp"}
}

// removeLitter removes what an account of a trial owns in these folders, and its System V segments, queues and semaphores.
func removeLitter(account string, folders ...string) error {
	number, err := strconv.Atoi(account)
	if err != nil || number < firstAccount || number > lastAccount {
		return fmt.Errorf("account %q is none of a trial", account)
	}
	var errs []error
	for _, dir := range folders {
		errs = append(errs, removeOwned(dir, uint32(number)))
	}
	for kind, remove := range map[string]func(id int) error{"shm": removeSegment, "msg": removeQueue, "sem": removeSemaphores} {
		for _, id := range systemV(kind, account) {
			if err := unlessGone(remove(id)); err != nil {
				errs = append(errs, fmt.Errorf("%s %d of account %s: %w", kind, id, account, err))
			}
		}
	}
	return errors.Join(errs...)
}

// removeOwned removes what the account owns in a folder, and in those below it that all may write to.
func removeOwned(dir string, account uint32) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil // it is not there, or was removed
	}
	defer root.Close()
	return removeIn(root, account)
}

// removeIn removes within a folder that is open: what somebody puts in its place after that is let be.
func removeIn(root *os.Root, account uint32) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil // it was removed
	}
	var errs []error
	for _, entry := range entries {
		info, err := root.Lstat(entry.Name())
		if err != nil {
			continue
		}
		switch stat, ok := info.Sys().(*syscall.Stat_t); {
		case ok && stat.Uid == account:
			errs = append(errs, unlessGone(root.RemoveAll(entry.Name())))
		case info.IsDir() && info.Mode().Perm()&0o002 != 0:
			errs = append(errs, removeBelow(root, info, account))
		}
	}
	return errors.Join(errs...)
}

// removeBelow is removeIn for a folder in it, unless another one has its name by now.
func removeBelow(root *os.Root, was fs.FileInfo, account uint32) error {
	below, err := root.OpenRoot(was.Name())
	if err != nil {
		return nil // it was removed
	}
	defer below.Close()
	if is, err := below.Stat("."); err != nil || !os.SameFile(was, is) {
		return nil
	}
	return removeIn(below, account)
}

// unlessGone is the error of a removal, except that there is nothing any more, or that bakeoff may not remove it, as root of a container:
// neither is the target's fault.
func unlessGone(err error) error {
	for _, none := range []error{fs.ErrNotExist, fs.ErrPermission, unix.EINVAL, unix.EIDRM} {
		if errors.Is(err, none) {
			return nil
		}
	}
	return err
}

// systemV are the ids of the System V objects of a kind, as /proc/sysvipc calls it, that the account made or owns.
func systemV(kind, account string) (ids []int) {
	data, err := os.ReadFile("/proc/sysvipc/" + kind)
	if err != nil {
		return nil // the kernel has none
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	columns := strings.Fields(lines[0])
	owner, maker := slices.Index(columns, "uid"), slices.Index(columns, "cuid")
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		if owner < 0 || maker < 0 || len(f) <= max(owner, maker) || f[owner] != account && f[maker] != account {
			continue
		}
		if id, err := strconv.Atoi(f[1]); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func removeSegment(id int) error {
	_, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}

func removeQueue(id int) error {
	return failed(unix.Syscall(unix.SYS_MSGCTL, uintptr(id), unix.IPC_RMID, 0))
}

func removeSemaphores(id int) error {
	return failed(unix.Syscall(unix.SYS_SEMCTL, uintptr(id), 0, unix.IPC_RMID))
}

// failed is the error of a call of the kernel.
func failed(_, _ uintptr, number syscall.Errno) error {
	if number != 0 {
		return number
	}
	return nil
}
