package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scriptsCheckout is a folder with our scripts and programs that only say what they are asked.
type scriptsCheckout struct{ dir string }

func newScripts(t *testing.T, names ...string) scriptsCheckout {
	t.Helper()
	c := scriptsCheckout{t.TempDir()}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("scripts", name))
		if err != nil {
			t.Fatal(err)
		}
		c.write(t, "scripts/"+name, string(text))
	}
	c.write(t, "bin/go", `#!/bin/sh
echo "$*" >>"$(dirname "$0")/calls"
case "$*" in
*list*) printf '%b' "$PACKAGES"; exit "${LIST:-0}" ;;
"run ./page "*) echo "$MADE" >"$4/page.js" ;;
test*"${FAILS:-nothing}"*) echo "it fails"; exit 1 ;;
test*) printf 'ok  \tp\t0.1s\n' ;;
esac
`)
	return c
}

func (c scriptsCheckout) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
}

// run runs a script, and returns what it prints, the calls of go test since the last time, and whether it succeeds.
func (c scriptsCheckout) run(t *testing.T, env, name string, args ...string) (printed, tests string, ok bool) {
	t.Helper()
	cmd := exec.Command(filepath.Join(c.dir, "scripts", name), args...)
	cmd.Dir = c.dir
	bin := filepath.Join(c.dir, "bin")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GO="+bin+"/go")
	cmd.Env = append(cmd.Env, strings.Split(env, "|")...)
	out, err := cmd.CombinedOutput()
	calls, _ := os.ReadFile(filepath.Join(bin, "calls")) // none: go was not called
	_ = os.Remove(filepath.Join(bin, "calls"))
	for line := range strings.Lines(string(calls)) {
		if strings.HasPrefix(line, "test ") {
			tests += line
		}
	}
	return string(out), tests, err == nil
}

// Packages that cannot be listed are no packages that pass. Of those that can, the ones that take long come first.
func TestScriptGotest(t *testing.T) {
	c := newScripts(t, "gotest")
	for _, one := range []struct {
		env, tests string
		ok         bool
	}{
		{
			`PACKAGES=b\nb/internal/balancer\nb/internal/plan\nb/internal/report\nb/internal/target\nb/internal/load\nb/internal/venue/machine\n`,
			"-p 2 -v -short b/internal/report b/internal/plan\n-p 3 -v -short b/internal/target b/internal/venue/machine b/internal/balancer\n-p 1 -v -short b b/internal/load\n", true,
		},
		{`PACKAGES=b/internal/plan\nb/internal/target\nb/internal/load\n|LIST=1`, "", false},
		{"PACKAGES=", "", false},
		{`PACKAGES=b/internal/plan\nb/internal/target\n`, "", false},
		{`PACKAGES=b/internal/plan\nb/internal/load\n`, "", false},
		{`PACKAGES=b/internal/target\nb/internal/load\n`, "", false},
		{`PACKAGES=b/internal/plan\nb/internal/target\nb/internal/load\n|FAILS=plan`, "-p 2 -v -short b/internal/plan\n-p 3 -v -short b/internal/target\n-p 1 -v -short b/internal/load\n", false},
		{`PACKAGES=b/internal/plan\nb/internal/target\nb/internal/load\n|FAILS=target`, "-p 2 -v -short b/internal/plan\n-p 3 -v -short b/internal/target\n-p 1 -v -short b/internal/load\n", false},
	} {
		out, tests, ok := c.run(t, one.env, "gotest", "-short", "./...")
		if tests = strings.ReplaceAll(tests, "test -count=1 -vet=off ", ""); tests != one.tests || ok != one.ok {
			t.Errorf("%s: success %v, want %v; it runs\n%s\nand prints\n%s", one.env, ok, one.ok, tests, out)
		}
	}
}

// A test that failed is run once more whatever time is left for tests in a cluster: one that is skipped then would pass.
func TestScriptGotestOnceMore(t *testing.T) {
	c := newScripts(t, "gotest")
	c.write(t, "bin/go", `#!/bin/sh
case "$*" in
*'-run ^TestA$ '*) [ -z "${BAKEOFF_KUBE_UNTIL:-}" ] ;;
*) printf -- '--- FAIL: TestA (0.00s)\nFAIL\tp\t0.1s\n'; exit 1 ;;
esac
`)
	out, _, ok := c.run(t, "BAKEOFF_KUBE_UNTIL=1", "gotest", "-run", "A", "p")
	if !ok || !strings.Contains(out, "UNSTABLE p TestA") {
		t.Errorf("success %v:\n%s", ok, out)
	}
}

// The tests in a cluster are run in their order, the seed first; what would not end in time is skipped by name, and all of them where
// there is no cluster.
func TestScriptTestKube(t *testing.T) {
	c := newScripts(t, "test-kube", "gotest")
	c.write(t, "bin/kubectl", "#!/bin/sh\nprintf 'a Ready\\nb Ready\\nc Ready\\n'\n")
	c.write(t, "bin/kube/bakeoff", "#!/bin/sh\n")
	c.write(t, "bin/curl", "#!/bin/sh\ncase \"$*\" in *://r.example/v2/) [ -z \"${AWAY:-}\" ] ;; *) exit 7 ;; esac\n")
	const (
		compile = "test -c -vet=off -o /dev/null ./internal/cli\n"
		cluster = "KUBECONFIG=k|BAKEOFF_KUBE_REGISTRY=r.example|BAKEOFF_KUBE_TAG=1"
		seed    = "-timeout 60m -run KubeNodesSeed ./internal/cli\n"
		pods    = "-timeout 5m -run ^TestNodes ./internal/platform/kube\n"
		rest    = "-timeout 60m -run KubeFault ./internal/cli\n-timeout 60m -run KubeNodes -skip KubeNodesSeed ./internal/cli\n"
	)
	for _, one := range []struct {
		env, argument, tests, says string
	}{
		{"KUBECONFIG=", "", "", "SKIPPED: test-kube: KUBECONFIG names no cluster"},
		{"KUBECONFIG=k|BAKEOFF_KUBE_REGISTRY=", "", "", "SKIPPED: test-kube: BAKEOFF_KUBE_REGISTRY names no registry"},
		{cluster + "|AWAY=1", "", "", "SKIPPED: test-kube: the registry r.example does not answer"},
		{cluster, "", compile + seed + pods + rest, ""},
		{cluster + "|BAKEOFF_KUBE_MINUTES=0", "", compile + seed + rest, "SKIPPED TestNodes: it takes a minute"},
		{cluster, "KubeLaptop", compile + "-timeout 60m -run KubeLaptop ./internal/cli\n", ""},
	} {
		out, tests, ok := c.run(t, one.env, "test-kube", one.argument)
		if tests = strings.ReplaceAll(tests, "test -count=1 -vet=off -p 1 -v ", ""); !ok || tests != one.tests || !strings.Contains(out, one.says) {
			t.Errorf("%s %s: success %v; it runs\n%s\nwant\n%s\nand prints\n%s", one.env, one.argument, ok, tests, one.tests, out)
		}
	}
}

// Without modules the page is not compared, which is said, and what is behind that runs all the same. A page that is not what its
// sources make is a failure.
func TestScriptTestPage(t *testing.T) {
	c := newScripts(t, "test-page", "page", "gotest")
	c.write(t, "bin/npm", "#!/bin/sh\nexit 1\n")
	c.write(t, "bin/chromium", "#!/bin/sh\necho Chromium\n")
	c.write(t, "internal/dashboard/page/dist/page.js", "page\n")
	c.write(t, "tools/go.mod", "module tools\n")
	const skipped = "SKIPPED test-page: internal/dashboard/page/dist is not compared with its sources: go cannot fetch the modules"
	for _, one := range []struct {
		env                string
		skipped, tests, ok bool
	}{
		{"MADE=page", false, true, true},
		{"MADE=another", false, false, false},
		{"LIST=1", true, true, true},
	} {
		out, tests, ok := c.run(t, one.env, "test-page")
		if strings.Contains(out, skipped) != one.skipped || strings.Contains(tests, "-run Browser") != one.tests || ok != one.ok {
			t.Errorf("%s: success %v, want %v; it runs %q and prints\n%s", one.env, ok, one.ok, tests, out)
		}
	}
}
