package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// levels is the whole table: an import points down only. A package under
// another one counts as its parent, one step below it.
var levels = [][]string{
	{"show", "verdict", "splitmix", "threshold", "capacity", "doctest"},
	{"chart", "plan", "dataset", "stats", "platform", "strictyaml", "consent", "shell", "yardstick", "scratch", "checkout", "influxd", "grafana", "image", "limit", "tune"},
	{"load", "null", "record", "driver", "database", "balancer", "platform/local", "platform/kube", "platform/platformtest", "load/loadtest"},
	{"fleet", "collect", "target", "contract", "endpoint", "gate", "jtl", "remote", "record/recordtest", "export/exporttest", "platform/kube/kubetest"},
	{"venue", "figures", "measure", "jmeter", "live", "sidecar"},
	{"controller", "venue/machine", "venue/cluster", "report", "audit", "export", "calibrate"},
	{"dashboard"},
	{"cli"},
}

// exceptions are imports against the table, each with its reason. One that
// no longer occurs fails the test.
var exceptions = map[[2]string]string{
	{"plan", "consent"}:    "a plan says where anything may be sent, a leaf that loads and look-ups use too",
	{"plan", "strictyaml"}: "a plan is read by the strict reader, a leaf that recipes use too",
}

// forbidden are imports that point down but must not be: commands meet at the
// run directory, not in memory.
var forbidden = map[string][]string{
	"figures":    {"load", "fleet", "controller", "platform", "platform/local", "database", "balancer", "target", "plan"},
	"report":     {"load", "fleet", "controller", "platform", "platform/local", "database", "balancer", "target", "plan"},
	"export":     {"load", "fleet", "controller", "platform", "platform/local", "database", "balancer", "target"},
	"live":       {"load", "fleet", "controller", "platform", "platform/local", "plan", "figures"},
	"dashboard":  {"load", "fleet", "controller", "platform", "platform/local", "database", "balancer", "target", "plan"},
	"load":       {"dataset", "plan", "record", "platform"},
	"record":     {"load", "dataset"},
	"controller": {"balancer", "platform/local", "venue/machine"},
	"venue":      {"balancer", "platform/local", "load", "fleet"},
	"endpoint":   {"dataset", "target", "contract"},
	"contract":   {"platform", "platform/local", "balancer", "target", "load", "fleet"},
	"target":     {"contract", "load", "fleet"},
	"gate":       {"load", "database", "platform", "balancer", "plan"},
	"jmeter":     {"dataset", "plan", "record", "venue", "figures", "measure", "platform/local"},
	"remote":     {"controller", "platform", "platform/kube", "venue"},
	"tune":       {"plan", "record", "figures"},
	"measure":    {"controller", "platform", "platform/local", "plan", "dataset"},
}

func TestImportsPointDown(t *testing.T) {
	level := map[string]int{}
	for at, names := range levels {
		for _, name := range names {
			level[name] = at
		}
	}
	used := map[[2]string]bool{}
	for _, p := range packages(t) {
		at, known := level[p.name]
		if !known {
			t.Errorf("package %s stands in no level", p.name)
			continue
		}
		for _, to := range p.imports {
			pair := [2]string{p.name, to}
			below, known := level[to]
			switch {
			case exceptions[pair] != "":
				used[pair] = true
			case !known:
				t.Errorf("%s imports %s, which stands in no level", p.name, to)
			case below >= at:
				t.Errorf("%s (level %d) imports %s (level %d): imports point down", p.name, at, to, below)
			}
			for _, no := range forbidden[p.name] {
				if to == no {
					t.Errorf("%s must not import %s", p.name, to)
				}
			}
		}
	}
	for pair := range exceptions {
		if !used[pair] {
			t.Errorf("the exception %s -> %s is not needed any more", pair[0], pair[1])
		}
	}
}

// CONTRIBUTING.md draws the table, the highest level first.
func TestContributingDrawsTheLevels(t *testing.T) {
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, drawing, _ := strings.Cut(string(text), "## Where things live")
	_, drawing, _ = strings.Cut(drawing, "```\n")
	drawing, _, _ = strings.Cut(drawing, "```")
	drawn := make([][]string, len(levels))
	at := -1
	for _, name := range strings.Fields(drawing) {
		if n, err := strconv.Atoi(name); err == nil {
			at = n
		} else if at >= 0 && at < len(levels) {
			drawn[at] = append(drawn[at], name)
		}
	}
	for at, names := range levels {
		if !slices.Equal(slices.Sorted(slices.Values(drawn[at])), slices.Sorted(slices.Values(names))) {
			t.Errorf("level %d: CONTRIBUTING.md draws %v, the table has %v", at, drawn[at], names)
		}
	}
}

type goPackage struct {
	name    string   // below internal/, such as "platform/local"
	imports []string // same
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./internal/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		one := goPackage{name: strings.TrimPrefix(p.ImportPath, "bakeoff/internal/")}
		for _, to := range p.Imports {
			if name, ok := strings.CutPrefix(to, "bakeoff/internal/"); ok {
				one.imports = append(one.imports, name)
			}
		}
		list = append(list, one)
	}
	if len(list) < 10 {
		t.Fatalf("only %d packages found", len(list))
	}
	return list
}

// TestKubernetesIsConfined wants what knows a cluster's own types, or images, to be in one package each.
func TestKubernetesIsConfined(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{range .Imports}}{{$.ImportPath}} {{.}}{{"\n"}}{{end}}`, "./internal/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	confined := map[string]string{"k8s.io/": "bakeoff/internal/platform/kube", "github.com/google/go-containerregistry/": "bakeoff/internal/image"}
	used := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		for prefix, home := range confined {
			if strings.HasPrefix(to, prefix) {
				used[prefix] = true
				if from != home {
					t.Errorf("%s imports %s, which is for %s", from, to, home)
				}
			}
		}
	}
	if len(used) != len(confined) {
		t.Errorf("used are %v", used)
	}
}

// heavy are packages that tests may use and the program must not carry.
var heavy = []string{"testing", "github.com/chromedp/chromedp", "github.com/invopop/jsonschema", "pgregory.net/rapid", "github.com/google/go-cmp/cmp"}

// parsers are carried all the same, by the machinery of Kubernetes' types; nothing else may use them.
var parsers = map[string]string{"go/parser": "k8s.io/apimachinery/pkg/runtime", "go/ast": "k8s.io/apimachinery/pkg/runtime"}

func TestProgramParsesNoGo(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{range .Imports}}{{$.ImportPath}} {{.}}{{"\n"}}{{end}}{{end}}`, ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen++
		if home := parsers[to]; home != "" && from != home {
			t.Errorf("%s imports %s", from, to)
		}
	}
	if seen < 100 {
		t.Errorf("only %d imports found", seen)
	}
}

func TestProgramCarriesNoTools(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	carried := strings.Fields(string(out))
	if len(carried) < 100 {
		t.Fatalf("only %d packages found", len(carried))
	}
	for _, name := range heavy {
		if slices.Contains(carried, name) {
			t.Errorf("the program carries %s", name)
		}
	}
}
