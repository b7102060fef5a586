package database

import (
	"errors"
	"os"
	"path/filepath"

	"bakeoff/internal/scratch"
)

// socketLimit is the longest path of a Unix socket.
const socketLimit = 107

// makeBase makes the folder that the server's account owns: in dir where the account can reach
// it and a socket's path fits, else inside a temporary one. The returned function removes it.
func makeBase(dir string, a account) (base string, remove func() error, err error) {
	base = filepath.Join(dir, "server")
	if len(base)+len("/sock") <= socketLimit && reachable(dir, a) {
		err = os.RemoveAll(base)
		remove = func() error { return os.RemoveAll(base) }
	} else {
		if dir, remove, err = scratch.New("database"); err != nil {
			return "", nil, err
		}
		base = filepath.Join(dir, "server")
		err = os.Chmod(dir, 0o711) // the server's account passes through
	}
	if err == nil {
		err = os.Mkdir(base, 0o700)
	}
	if err == nil && a.name != "" {
		err = os.Chmod(base, 0o711) // a target under another account reaches the socket
	}
	if err == nil {
		err = os.Chown(base, a.uid, a.gid)
	}
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	return base, remove, nil
}

// reachable reports whether an account may pass through every folder of an
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
