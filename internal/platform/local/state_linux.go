package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// state is the file that lets a later start end what a run left behind. It
// names no command and no environment.
type state struct {
	Boot      string     `json:"boot"`      // the kernel's boot id: start times mean nothing in another boot
	Namespace string     `json:"namespace"` // the process id namespace, likewise
	Run       string     `json:"run"`
	Holder    Holder     `json:"holder"`
	First     []Identity `json:"first"`            // first processes that have not ended
	Groups    string     `json:"groups,omitempty"` // the folder of the run's control groups; empty: it has none
}

// groups are the control groups that a state file names; none where the folder cannot be the run's.
func (s state) groups(t token) groups {
	name := filepath.Base(s.Groups)
	if !strings.HasPrefix(name, groupPrefix) || !strings.HasSuffix(name, "-"+t.String()) {
		return groups{}
	}
	return groups{s.Groups}
}

func newState(h Holder) state {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return state{Boot: strings.TrimSpace(string(boot)), Namespace: namespace, Holder: h, Run: h.Run}
}

func statePath(dir string, t token) string { return filepath.Join(dir, t.String()+".json") }

// save replaces the file in one step. It does not wait for the disk: after a
// power cut there is nothing left to end.
func (s state) save(dir string, t token) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("local: state: %w", err)
	}
	temp := filepath.Join(dir, t.String()+".tmp")
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("local: state: %w", err)
	}
	if err := os.Rename(temp, statePath(dir, t)); err != nil {
		return fmt.Errorf("local: state: %w", err)
	}
	return nil
}

func loadState(path string) (state, error) {
	var s state
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("local: state file %s: %w", path, err)
	}
	return s, nil
}

func removeState(dir string, t token) error {
	os.Remove(filepath.Join(dir, t.String()+".tmp"))
	if err := os.Remove(statePath(dir, t)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("local: state: %w", err)
	}
	return nil
}

// makeStateDir makes the folder and closes it to others.
func makeStateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("local: state folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("local: state folder: %w", err)
	}
	return nil
}
