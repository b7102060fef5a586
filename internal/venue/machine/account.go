package machine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"bakeoff/internal/target"
)

// sharedCache is where targets are prepared where bakeoff is root and its own cache lies in a home that no other account may
// pass through: there the account that a target runs under could not read them.
const sharedCache = "/var/cache/bakeoff"

// preparedDir is the folder of prepared targets that belongs to a cache.
func preparedDir(cache string) string {
	home, err := os.UserHomeDir()
	if os.Geteuid() != 0 || err != nil || target.Passable(cache) || !strings.HasPrefix(cache, home+string(filepath.Separator)) {
		return filepath.Join(cache, "targets")
	}
	return filepath.Join(sharedCache, "targets")
}

// makeShared makes the folder around prepared targets where it is nobody's home.
func makeShared(dir string) error {
	if filepath.Dir(dir) != sharedCache {
		return nil
	}
	if err := os.MkdirAll(sharedCache, 0o755); err != nil {
		return fmt.Errorf("cache folder: %w", err)
	}
	if err := os.Chmod(sharedCache, 0o755); err != nil { // whatever the umask was
		return fmt.Errorf("cache folder: %w", err)
	}
	return nil
}

// Accounts are numbers that no user has. They are those that systemd draws its dynamic users from.
const (
	firstAccount = 61184
	lastAccount  = 65519
)

// accounts gives each started target an account that nobody else has, and that none had for a while.
type accounts struct {
	once  sync.Once
	works bool // a process could be started under one

	mu   sync.Mutex
	last int // the number that was given last; 0: none
}

// usable reports whether processes can be started under such an account, which is tried once. Root in a user namespace may have
// none of these numbers, and a service manager may have taken the right to change to another account.
func (a *accounts) usable() bool {
	a.once.Do(func() { a.works = startAs(firstAccount) == nil })
	return a.works
}

// startAs starts a program that does nothing under an account, and waits for its end.
func startAs(account uint32) error {
	program, err := exec.LookPath("true")
	if err != nil {
		return nil // what a target's start comes to will be seen
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: account, Gid: account}}
	return cmd.Run()
}

// accountFor is an account for a target, where its recipe allows one, bakeoff is root, can start processes under other accounts, and
// others can read what was prepared; else it is empty, and the target runs under bakeoff's own.
func (v *Venue) accountFor(p *target.Prepared) string {
	if os.Geteuid() != 0 || p == nil || !p.Recipe.OwnAccount || !p.Public() || !v.accounts.usable() {
		return ""
	}
	return v.accounts.next()
}

// next is the next free number, or empty where there is none.
func (a *accounts) next() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	const count = lastAccount - firstAccount + 1
	if a.last == 0 {
		a.last = firstAccount + rand.IntN(count)
	}
	busy := busyAccounts()
	for range count {
		a.last = firstAccount + (a.last-firstAccount+1)%count
		name := strconv.Itoa(a.last)
		if _, err := user.LookupId(name); err != nil && !busy[name] {
			return name
		}
	}
	return ""
}

// busyAccounts are those of all living processes.
func busyAccounts() map[string]bool {
	out := map[string]bool{}
	found, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range found {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(data), "\nUid:")
		line, _, _ := strings.Cut(rest, "\n")
		for _, id := range strings.Fields(line) {
			out[id] = true
		}
	}
	return out
}
