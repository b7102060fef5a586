package database

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPasswordGone wants no password file left when a server is stopped, could not be
// opened, or was left by a killed process.
func TestPasswordGone(t *testing.T) {
	shared(t)
	t.Setenv("TMPDIR", t.TempDir())
	e := externalServer(t, "secrets")
	path := e.Access().PasswordFile
	if text, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(text)) != canary {
		t.Fatalf("password file %s: %v", path, err)
	}
	if err := e.Stop(t.Context(), 0); err != nil || exists(filepath.Dir(path)) {
		t.Errorf("%s is left after Stop, %v", path, err)
	}
	file := dsnFile(t, "somebody:"+canary+"@tcp(127.0.0.1:1)/x", 0o600)
	if _, err := Open(t.Context(), External{DSNFile: file}); err == nil {
		t.Error("nobody listens, and it opens")
	}
	path, forget, err := keepPassword(canary)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := forget(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestSecretsStay looks for the passwords wherever others could see them.
func TestSecretsStay(t *testing.T) {
	s, _ := shared(t)
	p := s.private
	if len(p.admin) < 20 || len(p.target) < 20 || p.admin == p.target {
		t.Fatal("passwords are short or the same")
	}
	for _, secret := range []string{p.admin, p.target} {
		if pids := serversUnder(t, secret); len(pids) > 0 {
			t.Errorf("a password is in %v", pids)
		}
		info, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%v %+v %#v %v %v", info, info, info, s.Access(), p.command()); strings.Contains(text, secret) {
			t.Error("a password is in what is printed")
		}
		if text := fmt.Sprintf("%v %+v %#v %s", s.Access(), s.Access(), s.Access(), s.Access()); strings.Contains(text, secret) {
			t.Error("a password is in the text of Access")
		}
	}
	allowed := s.Access().PasswordFile
	seen := 0
	for _, root := range []string{fixture.dir, p.base, filepath.Dir(allowed)} {
		err := filepath.WalkDir(root, func(path string, item fs.DirEntry, err error) error {
			if err != nil || !item.Type().IsRegular() {
				return err
			}
			info, err := item.Info()
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 && !strings.HasPrefix(path, p.base) {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			text, err := os.ReadFile(path)
			for _, secret := range []string{p.admin, p.target} {
				if strings.Contains(string(text), secret) {
					if seen++; path != allowed || secret != p.target {
						t.Errorf("a password is in %s", path)
					}
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if seen != 1 {
		t.Errorf("passwords found %d times, not once in %s", seen, allowed)
	}
	if info, err := os.Stat(p.options.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v %v", p.options.Dir, info.Mode(), err)
	}
	// Others pass through to the socket where targets may have accounts of their own, and see and reach nothing else.
	want := fs.FileMode(0o700)
	if p.account.name != "" {
		want = 0o711
	}
	if info, err := os.Stat(p.base); err != nil || info.Mode().Perm() != want {
		t.Errorf("%s: %v %v, want %v", p.base, info.Mode(), err, want)
	}
	entries, err := os.ReadDir(p.base)
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode()&os.ModeSocket == 0 && info.Mode().Perm()&0o007 != 0 {
			t.Errorf("others reach %s: %v", e.Name(), info.Mode())
		}
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process().PID())); err != nil || strings.Contains(string(text), "\nUid:\t0\t") {
		t.Errorf("the server runs as root: %v", err)
	}
}
