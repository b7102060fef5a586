package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// socketLimit is the longest path of a Unix socket.
const socketLimit = 107

// makeBase makes the folder that the server's account owns: in dir where the account can reach
// it and a socket's path fits, else in a temporary folder.
func makeBase(dir string, a account) (string, error) {
	base := filepath.Join(dir, "server")
	if len(base)+len("/sock") <= socketLimit && reachable(dir, a) {
		if err := os.RemoveAll(base); err != nil {
			return "", err
		}
		if err := os.Mkdir(base, 0o700); err != nil {
			return "", err
		}
	} else {
		var err error
		if base, err = os.MkdirTemp("", basePrefix); err != nil {
			return "", err
		}
		if err := writeFile(filepath.Join(base, ownerName), self()); err != nil {
			return "", errors.Join(err, os.RemoveAll(base))
		}
	}
	return base, os.Chown(base, a.uid, a.gid)
}

// reachable tells whether an account may pass through every folder of an
// absolute path; that of the caller always may.
func reachable(dir string, a account) bool {
	if a.name == "" {
		return true
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == "/" || dir == "." {
			return dir == "/"
		}
	}
}

// Temporary folders of servers, and the file in each that names the process
// whose server it is.
const (
	basePrefix = "bakeoff-database-"
	ownerName  = "owner"
)

// self names this process: its id and its start time, which no two processes
// of one boot share.
func self() string {
	return fmt.Sprintf("%d %s\n", os.Getpid(), startTime(os.Getpid()))
}

// startTime is field 22 of /proc/PID/stat; empty when there is no such process.
func startTime(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	end := strings.LastIndexByte(string(text), ')') // the name before it may hold anything
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// Sweep removes the temporary folders of servers whose controller was killed,
// and returns their paths. Folders of living controllers, of other users, and those
// that say nothing about their owner are left alone.
func Sweep() (removed []string, err error) {
	paths, err := filepath.Glob(filepath.Join(os.TempDir(), basePrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("database: sweep: %w", err)
	}
	var errs []error
	for _, path := range paths {
		if !abandoned(path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			errs = append(errs, fmt.Errorf("database: sweep: %w", err))
			continue
		}
		removed = append(removed, path)
	}
	return removed, errors.Join(errs...)
}

// abandoned tells whether a folder is ours and its owner is gone.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	file, err := os.OpenFile(filepath.Join(path, ownerName), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil || !ownedByUs(info) {
		return false
	}
	text := make([]byte, 100)
	n, _ := file.Read(text)
	var pid int
	var start string
	if _, err := fmt.Sscan(string(text[:n]), &pid, &start); err != nil {
		return false
	}
	return startTime(pid) != start
}

func ownedByUs(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
