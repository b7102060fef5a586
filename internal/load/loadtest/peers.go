package loadtest

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Find returns the path of a program, also where Go, Rust and Debian put those that PATH lacks; empty: it is not installed.
func Find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	home, _ := os.UserHomeDir() // without one, these places do not exist
	for _, dir := range []string{filepath.Join(home, "go", "bin"), filepath.Join(home, ".cargo", "bin"), "/usr/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	return ""
}
