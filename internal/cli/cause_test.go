package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTheCauseIsNamed kills parts of a run under load: what it says names the part, and not only who was refused by it. A trial
// whose balancer has ended is repeated: the database is killed under its second attempt.
func TestTheCauseIsNamed(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", strings.Replace(planText("go-nethttp", 1, "warmup: 0s"), "duration: 1s", "duration: 4s", 1))
	type part struct{ command, cause string }
	for _, parts := range [][]part{
		{{"guard", "ended during the run (signal: killed)"}},
		{{"nginx", "balancer: nginx ended during the trial: ended by SIGKILL"}, {"mariadbd", "the database server ended during the run: ended by SIGKILL"}},
	} {
		t.Run(parts[0].command, func(t *testing.T) {
			s := s.again(t)
			e := s.start("run", "p.yaml")
			for i, killed := range parts {
				e.awaitLoad(i + 1)
				killBelow(t, e.cmd.Process.Pid, killed.command)
			}
			e.wantEnd(2 * time.Minute)
			for _, killed := range parts {
				wantAll(t, "stderr", e.stderr.String(), killed.cause)
			}
			e.nothingLeft(5 * time.Second)
		})
	}
}

// killBelow kills the first process below another one whose command holds a word.
func killBelow(t *testing.T, root int, word string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", root))
	if err != nil {
		t.Fatal(err)
	}
	for queue := tasks; len(queue) > 0; queue = queue[1:] {
		children, _ := os.ReadFile(queue[0]) // it may have ended
		for _, pid := range strings.Fields(string(children)) {
			command, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			if strings.Contains(string(command), word) {
				var number int
				if _, err := fmt.Sscan(pid, &number); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(number, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				return
			}
			more, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
			queue = append(queue, more...)
		}
	}
	t.Fatalf("no %s below %d", word, root)
}
