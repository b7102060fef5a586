package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// ErrNoServer means that no server of the kind asked for is installed.
var ErrNoServer = errors.New("no database server is installed")

// binary is an installed server.
type binary struct {
	path    string
	vendor  string
	version string
}

// Installed returns nil when this machine has the server to start privately:
// MariaDB, MySQL, or the path of a program; empty: any. Else the error says what is
// missing, and wraps ErrNoServer where none is installed.
func Installed(ctx context.Context, server string) error {
	_, err := find(ctx, server)
	return err
}

// Installation is an installed server.
type Installation struct{ Path, Vendor, Version string }

// Program is the server that a private database would be started with; the errors are as of Installed.
func Program(ctx context.Context, server string) (Installation, error) {
	found, err := find(ctx, server)
	return Installation{found.path, found.vendor, found.version}, err
}

// find returns the program at a path, or the first of a vendor: in the folders of
// PATH in their order, then in those where packages put it. In one folder
// mariadbd comes before mysqld, which may be its other name.
func find(ctx context.Context, server string) (binary, error) {
	if filepath.IsAbs(server) {
		if !runnable(server) {
			return binary{}, fmt.Errorf("database: %s is not a program", server)
		}
		return askVersion(ctx, server)
	}
	var broken error
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin") {
		for _, name := range []string{"mariadbd", "mysqld"} {
			path := filepath.Join(dir, name)
			if !filepath.IsAbs(path) || !runnable(path) {
				continue
			}
			found, err := askVersion(ctx, path)
			if err == nil && (server == "" || server == found.vendor) {
				return found, nil
			}
			broken = errors.Join(broken, err)
		}
	}
	if broken != nil {
		return binary{}, broken
	}
	what := map[string]string{"": "neither mariadbd nor mysqld", MariaDB: "no mariadbd", MySQL: "no mysqld of MySQL"}[server]
	return binary{}, fmt.Errorf("database: %w: %s in PATH", ErrNoServer, what)
}

// runnable reports whether a path is a program.
func runnable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// versionText matches what both servers say, such as "mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu".
var versionText = regexp.MustCompile(`Ver (\S+)`)

func askVersion(ctx context.Context, path string) (binary, error) {
	cmd := exec.CommandContext(ctx, path, "--no-defaults", "--version")
	cmd.Env = environment()
	out, err := cmd.Output()
	match := versionText.FindSubmatch(out)
	if err == nil && match == nil {
		err = errors.New("it says no version")
	}
	if err != nil {
		return binary{}, fmt.Errorf("database: %s --version: %.200q: %w", path, out, err)
	}
	b := binary{path: path, vendor: MySQL, version: string(match[1])}
	if bytes.Contains(out, []byte("MariaDB")) {
		b.vendor = MariaDB
	}
	return b, nil
}
