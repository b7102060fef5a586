package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A test plan of the user's own gets to the controller next to the plan, which knows where both came from. What is wrong with it is said
// at its line, before anything is asked of a cluster; plugins are a matter of the image.
func TestBringsOwnTestPlan(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write("p.yaml", `name: own
targets: [{recipe: go-nethttp, name: go}]
deployment: {replicas: 1}
agents: {engine: jmeter, count: 2, jmx: own.jmx}
phases: [{model: closed, connections: 4, duration: 2s}]
kubernetes: {registry: r.example, allow_colocated: a test on few nodes}
`)
	var out, errs bytes.Buffer
	env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Assets: os.DirFS("../.."), Getenv: func(string) string { return "" }}
	render := func() int {
		out.Reset()
		errs.Reset()
		env.Args = []string{"render", "kubernetes", path}
		root := newRoot(env)
		return conclude(&errs, root, root.ExecuteContext(context.Background()))
	}
	const mine = `<jmeterTestPlan><hashTree><Z testclass="kg.apc.Ultimate"/></hashTree></jmeterTestPlan>`
	for name, c := range map[string]struct {
		jmx    string
		status int
		says   []string
	}{
		"none there":    {"", exitUsage, []string{"p.yaml:4:", "agents.jmx: ", "own.jmx: no such file"}},
		"no test plan":  {"<other/>", exitUsage, []string{"p.yaml:4:", `its root is "other"`}},
		"another host":  {`<jmeterTestPlan><stringProp name="HTTPSampler.domain">shop.example</stringProp></jmeterTestPlan>`, exitUsage, []string{"p.yaml:4:", "shop.example"}},
		"too large":     {"<jmeterTestPlan>" + strings.Repeat(" ", 1<<20) + "</jmeterTestPlan>", exitUsage, []string{"p.yaml:4:", "own.jmx: it and the plan are "}},
		"with a plugin": {mine, exitDone, nil},
	} {
		if err := os.Remove(filepath.Join(dir, "own.jmx")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if c.jmx != "" {
			write("own.jmx", c.jmx)
		}
		if status := render(); status != c.status {
			t.Errorf("%s: status %d: %s", name, status, &errs)
		}
		for _, want := range c.says {
			if !strings.Contains(errs.String(), want) {
				t.Errorf("%s: %q is not in %s", name, want, &errs)
			}
		}
		if c.status == exitDone {
			for _, want := range []string{"test-plan.jmx: ", "kg.apc.Ultimate", "- --plan-dir\n", "- " + dir + "\n"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%s: %q is not in the objects", name, want)
				}
			}
		}
	}
	p, err := loadPlan(env, path)
	if err != nil {
		t.Fatal(err)
	}
	f := conductFlags{runFlags: runFlags{out: "."}, planDir: "/home/me"}
	if o, _, err := f.inCluster(env, p, controllerPod{run: "own-1", namespace: "ns"}); err != nil || o.PlanDir != "/home/me" {
		t.Errorf("%s, %v", o.PlanDir, err)
	}
}
