package target_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/strictyaml"
	"bakeoff/internal/target"
)

// good is a recipe that uses every field.
const good = `name: tiny
title: Tiny
language: sh
tags: [one]
needs:
  - {tool: sh, any_of: [dash, /bin/sh], check: [-c, "exit 0"], package: dash}
  - {tool: maker, optional: true}
  - {file: /etc/passwd, package: base-passwd}
  - {pkgconfig: nothing-known, what: nothing, package: libnothing-dev}
  - {run: ["{sh}", -c, "exit 1"], what: a failing thing, package: failing}
prepare:
  inherit: [CC, PIP_*]
  env: {A: "{build}"}
  steps:
    - {run: ["{maker}", x], if: maker}
    - {run: ["{sh}", -c, ":"], unless: maker}
versions: ["{sh}", versions.sh]
start: ["{sh}", "{recipe}/start.sh", "--port={port}", "{SPEED}"]
env: {SPEED: fast, BOUND: "", IDLE: "75", WHERE: "{host}"}
processes: workers
pool: {kind: per-request, bounded_by: BOUND}
protocol: text
keepalive: "{IDLE}s"
access_log:
  off: {args: [--no-log]}
  on: {args: ["--log={SPEED}"], env: {LOG: "on"}}
overlap: required
settings:
  - {name: speed, value: "{SPEED}", default: slow, source: a book}
  - {name: workers, value: "{workers} of {pool}", default: "1", source: the plan}
variants:
  slow:
    title: Tiny and slow
    tags: [two]
    start: ["{sh}", slow.sh]
    env: {SPEED: slow, IDLE: "5"}
    processes: "1"
    pool: {kind: bounded, overflow: 2}
    protocol: prepared
    overlap: "no"
    settings:
      - {name: speed, value: "{SPEED}", default: slow, source: another book}
      - {name: more, value: "1", default: "0", source: a third}
  short: {keepalive: 2s}
servers:
  threads:
    title: Tiny on threads
    start: ["{sh}", threads.sh]
    env: {SPEED: threaded}
    settings:
      - {name: more, value: "{SPEED}", default: "0", source: a fourth}
`

func loadText(text, variant string) (*target.Recipe, error) {
	return target.Load(fstest.MapFS{"tiny/target.yaml": {Data: []byte(text)}}, "tiny", variant)
}

// The recipe that docs/targets.md shows as a whole one is one.
func TestDocumentedRecipe(t *testing.T) {
	text, err := os.ReadFile("../../docs/targets.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## target.yaml\n")
	_, recipe, _ := strings.Cut(section, "```yaml\n")
	recipe, _, _ = strings.Cut(recipe, "```")
	if r, err := target.Load(fstest.MapFS{
		"mine/target.yaml": {Data: []byte(recipe)}, "mine/package.json": {}, "mine/package-lock.json": {},
	}, "mine", ""); err != nil || r.Name != "mine" {
		t.Errorf("%v\n%s", err, recipe)
	}
}

func TestRecipeMistakes(t *testing.T) {
	if _, err := loadText(good, ""); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, c := range []struct {
		old, new string // edit of the good recipe
		at       string // path of the mistake
		want     string // words of the message
	}{
		{"name: tiny", "name: other", "name", "must be the name of the folder"},
		{"title: Tiny\n", "", "title", "is missing"},
		{"language: sh", "langauge: sh", "langauge", "did you mean"},
		{"language: sh", "language: 3", "language", "must be text"},
		{"language: sh", "language: sh\nlanguage: sh", "language", "duplicate key"},
		{"{tool: maker, optional: true}", "{tool: maker}", "needs[1].package", "is missing"},
		{"{tool: maker, optional: true}", "{tool: sh, optional: true}", "needs[1].tool", "is taken"},
		{"{tool: maker, optional: true}", "{tool: port, optional: true}", "needs[1].tool", "is taken"},
		{"{tool: maker, optional: true}", "{tool: Maker, optional: true}", "needs[1].tool", "small letters"},
		{"any_of: [dash, /bin/sh]", "any_of: [bin/sh]", "needs[0].any_of[0]", "absolute path"},
		{"{file: /etc/passwd,", "{file: /etc/passwd, optional: true,", "needs[2]", "belong to a tool"},
		{"{file: /etc/passwd,", "{file: /etc/passwd, pkgconfig: x,", "needs[2]", "exactly one"},
		{"what: a failing thing,", "", "needs[4].what", "is missing"},
		{`{run: ["{sh}", -c, "exit 1"],`, `{run: ["{sch}", -c, "exit 1"],`, "needs[4].run[0]", "{sch}"},
		{"inherit: [CC, PIP_*]", "inherit: [CC, P*P_*]", "prepare.inherit[1]", "is not the name of an environment variable"},
		{`env: {A: "{build}"}`, `env: {A-B: "{build}"}`, "prepare.env.A-B", "is not the name of an environment variable"},
		{`env: {A: "{build}"}`, `env: {A: "{port}"}`, "prepare.env.A", "unknown placeholder {port}"},
		{`["{maker}", x]`, "[]", "prepare.steps[0].run", "is missing"},
		{"if: maker", "if: sh", "prepare.steps[0].if", "is not an optional tool"},
		{"if: maker", "unless: maker", "prepare.steps[0].run[0]", "unknown placeholder {maker}"},
		{`"--port={port}"`, `"{maker}"`, "start[2]", "unknown placeholder {maker}"},
		{"unless: maker", "unless: makr", "prepare.steps[1].unless", "did you mean"},
		{`versions: ["{sh}", versions.sh]`, "versions: []", "versions", "is missing"},
		{`"--port={port}"`, `"--port={prot}"`, "start[2]", "did you mean"},
		{`"--port={port}"`, `"{SPEEED}"`, "start[2]", "unknown placeholder {SPEEED}"},
		{"SPEED: fast,", "SPEED: fast, PORT: \"1\",", "env.PORT", "bakeoff sets PORT itself"},
		{"SPEED: fast,", "SPEED: fast, DATABASE_PASSWORD: x,", "env.DATABASE_PASSWORD", "bakeoff sets"},
		{"SPEED: fast,", "SPEED: \"{IDLE}\",", "env.SPEED", "unknown placeholder {IDLE}"},
		{"processes: workers", "processes: worker", "processes", "must be workers"},
		{"processes: workers", "processes: \"0\"", "processes", "from 1 to 1024"},
		{"kind: per-request,", "kind: unlimited,", "pool.kind", "must be one of bounded, per-request"},
		{"kind: per-request,", "kind: bounded,", "pool.bounded_by", "needs no bound"},
		{"kind: per-request,", "kind: per-request, overflow: -1,", "pool.overflow", "from 0"},
		{"bounded_by: BOUND", "bounded_by: BOUNDS", "pool.bounded_by", "did you mean"},
		{"protocol: text", "protocol: binary", "protocol", "must be one of text, prepared"},
		{`keepalive: "{IDLE}s"`, "keepalive: \"75\"", "keepalive", "must be a duration"},
		{`keepalive: "{IDLE}s"`, "keepalive: 0s", "keepalive", "above zero"},
		{"args: [--no-log]", "args: [\"{log}\"]", "access_log.off.args[0]", "unknown placeholder {log}"},
		{"overlap: required", "overlap: maybe", "overlap", "must be one of required, no"},
		{"overlap: required", "overlap: required\nready: probe", "ready", "needs the ready line"},
		{"overlap: required", "overlap: required\nready: prob", "ready", "did you mean probe"},
		{"overlap: required", "overlap: required\nready_within: 2h", "ready_within", "from 1s to 1h"},
		{"overlap: required", "overlap: required\naccount: nobody", "account", "must be one of own, bakeoff"},
		{", source: a book}", "}", "settings[0].source", "is missing"},
		{"name: workers,", "name: speed,", "settings[1].name", "twice"},
		{`value: "{workers} of`, `value: "{port} of`, "settings[1].value", "unknown placeholder {port}"},
		{"  slow:\n", "  Slow:\n", "variants.Slow", "small letters"},
		{`start: ["{sh}", slow.sh]`, `start: ["{bash}", slow.sh]`, "variants.slow.start[0]", "unknown placeholder {bash}"},
		{"env: {SPEED: slow,", "env: {WORKERS: \"1\",", "variants.slow.env.WORKERS", "bakeoff sets"},
		{`IDLE: "5"}`, `IDLE: five}`, "variants.slow.keepalive", `"fives"`},
		{"protocol: prepared", "protocol: prepard", "variants.slow.protocol", "did you mean"},
		{"keepalive: 2s", "prepare: {}", "variants.short.prepare", "unknown key"},
		{"  threads:\n", "  none:\n", "servers.none", "is not none"},
		{"  short: {", "  none: {", "variants.none", "is not none"},
		{`start: ["{sh}", threads.sh]`, `start: ["{bash}", threads.sh]`, "servers.threads.start[0]", "unknown placeholder {bash}"},
	} {
		t.Run(c.at+" "+c.want, func(t *testing.T) {
			if strings.Count(good, c.old) < 1 {
				t.Fatalf("%q is not in the good recipe", c.old)
			}
			_, err := loadText(strings.Replace(good, c.old, c.new, 1), "")
			var problems strictyaml.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want problems of the file", err)
			}
			found := slices.IndexFunc(problems, func(p strictyaml.Problem) bool {
				return p.Path == c.at && strings.Contains(p.Message+" "+p.Hint, c.want) && p.Line > 0 && p.File == "targets/tiny/target.yaml"
			})
			if found < 0 {
				t.Errorf("no problem at %s with %q in\n%v", c.at, c.want, err)
			}
			if len(problems) > 4 {
				t.Errorf("one mistake, %d problems:\n%v", len(problems), err)
			}
		})
	}
}

// A recipe that does not say so may be frozen and runs under an account of its own.
func TestRecipeLeavesOut(t *testing.T) {
	for _, c := range []struct {
		more             string
		frozen, accounts bool
	}{
		{"", true, true},
		{"freeze: off\n", false, true},
		{"account: own\n", true, true},
		{"account: bakeoff\n", true, false},
	} {
		r, err := loadText(good+c.more, "")
		if err != nil || r.Freezes != c.frozen || r.OwnAccount != c.accounts {
			t.Errorf("%q: %v, frozen %t, own account %t", c.more, err, r.Freezes, r.OwnAccount)
		}
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	_, err := loadText(strings.NewReplacer("title: Tiny\n", "title: \"\"\n", "processes: workers", "processes: none", "unless: maker", "unless: sh").Replace(good), "")
	var problems strictyaml.Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Errorf("got %v, want three problems", err)
	}
}

func TestLoadRefusesNames(t *testing.T) {
	files := fstest.MapFS{"tiny/target.yaml": {Data: []byte(good)}}
	for _, c := range []struct{ name, variant, want string }{
		{"../tiny", "", "is not the name of a target"},
		{"", "", "is not the name of a target"},
		{"Tiny", "", "is not the name of a target"},
		{strings.Repeat("a", 64), "", "is not the name of a target"},
		{"tiyn", "", `did you mean`},
		{"elephant", "", "known are tiny"},
		{"tiny", "slwo", "did you mean"},
		{"tiny", "elephant", "known are short, slow"},
	} {
		if r, err := target.Load(files, c.name, c.variant); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: got %v, %v, want an error with %q", c.name, c.variant, r, err, c.want)
		}
	}
}

func TestVariantChangesWhatItNames(t *testing.T) {
	plain, err := loadText(good, "")
	if err != nil {
		t.Fatal(err)
	}
	slow, err := loadText(good, "slow")
	if err != nil {
		t.Fatal(err)
	}
	if slow.Title != "Tiny and slow" || slow.Variant != "slow" || !slices.Equal(slow.Tags, []string{"one", "two"}) || !slices.Equal(plain.Tags, []string{"one"}) {
		t.Errorf("title %q, tags %v; plain tags %v", slow.Title, slow.Tags, plain.Tags)
	}
	if plain.Protocol != "text" || slow.Protocol != "prepared" || !plain.OverlapRequired || slow.OverlapRequired {
		t.Errorf("protocols %s and %s, overlap required %t and %t", plain.Protocol, slow.Protocol, plain.OverlapRequired, slow.OverlapRequired)
	}
	if plain.Processes(7) != 7 || slow.Processes(7) != 1 {
		t.Errorf("processes %d and %d", plain.Processes(7), slow.Processes(7))
	}
	if plain.Digest() != slow.Digest() {
		t.Error("a variant has another digest: it would be prepared anew")
	}
	wantSlow := []record.Setting{
		{Name: "speed", Value: "slow", Default: "slow", Source: "another book"},
		{Name: "workers", Value: "2 of 8", Default: "1", Source: "the plan"},
		{Name: "more", Value: "1", Default: "0", Source: "a third"},
	}
	if got := slow.Settings(2, 8); !slices.Equal(got, wantSlow) {
		t.Errorf("settings %+v", got)
	}
	if got := plain.Settings(2, 8); len(got) != 2 || got[0].Source != "a book" {
		t.Errorf("settings of the plain one %+v", got)
	}
}

// A server changes what it names of the recipe and of each variant alike.
func TestServerChangesWhatItNames(t *testing.T) {
	slow, err := loadText(good, "slow")
	if err != nil {
		t.Fatal(err)
	}
	on, err := slow.On("threads")
	if err != nil {
		t.Fatal(err)
	}
	if on.Title != "Tiny on threads" || on.Server != "threads" || on.Variant != "slow" || on.Protocol != "prepared" || on.OverlapRequired || on.Digest() != slow.Digest() {
		t.Errorf("%+v", on)
	}
	if got := on.Settings(1, 1); got[0].Value != "threaded" || got[2] != (record.Setting{Name: "more", Value: "threaded", Default: "0", Source: "a fourth"}) {
		t.Errorf("settings %+v", got)
	}
	if slow.Title != "Tiny and slow" || slow.Server != "" || slow.Settings(1, 1)[2].Value != "1" {
		t.Errorf("the variant has changed: %+v", slow)
	}
	if own, err := slow.On(""); err != nil || own != slow {
		t.Errorf("its own server: %+v, %v", own, err)
	}
	if !slices.Equal(slow.Servers(), []string{"threads"}) {
		t.Errorf("servers %v", slow.Servers())
	}
	var unknown *target.UnknownError
	if _, err := slow.On("thread"); !errors.As(err, &unknown) || unknown.Key != "server" || unknown.Hint() != "did you mean threads" {
		t.Errorf("%v", err)
	}
}

func TestWithPlanSettings(t *testing.T) {
	plain, err := loadText(good, "")
	if err != nil {
		t.Fatal(err)
	}
	changed, err := plain.With(map[string]string{"SPEED": "{port}", "IDLE": "10"})
	if err != nil {
		t.Fatal(err)
	}
	got := changed.Settings(1, 1)
	want := []record.Setting{
		{Name: "speed", Value: "{port}", Default: "slow", Source: "a book"},
		{Name: "workers", Value: "1 of 1", Default: "1", Source: "the plan"},
		{Name: "IDLE", Value: "10", Default: "75", Source: "the plan"},
		{Name: "SPEED", Value: "{port}", Default: "fast", Source: "the plan"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("settings %+v", got)
	}
	for r, want := range map[*target.Recipe]time.Duration{plain: 75 * time.Second, changed: 10 * time.Second} {
		if idle, err := r.KeepAlive(); err != nil || idle != want {
			t.Errorf("keep-alive %v, %v, want %v", idle, err, want)
		}
	}
	twice, err := changed.With(map[string]string{"SPEED": "slow"})
	if err != nil {
		t.Fatal(err)
	}
	if idle, err := twice.KeepAlive(); err != nil || idle != 10*time.Second {
		t.Errorf("settings given before are lost: keep-alive %v, %v", idle, err)
	}
	if _, err := plain.With(map[string]string{"IDLE": "long"}); err == nil {
		t.Error("a keep-alive that is not a duration is taken")
	}
	if _, err := plain.With(map[string]string{"SPED": "1"}); err == nil || !strings.Contains(err.Error(), "SPEED") {
		t.Errorf("got %v, want SPEED suggested", err)
	}
}

func TestConnections(t *testing.T) {
	bound := map[string]string{"BOUND": "semaphore"}
	for _, c := range []struct {
		variant                 string
		settings                map[string]string
		workers, pool, inFlight int
		want                    int
		bounded                 bool
	}{
		{"", nil, 2, 8, 32, 32, false},
		{"", nil, 7, 10, 1000, 1000, false},
		{"", bound, 2, 8, 32, 16, true},
		{"slow", nil, 2, 8, 32, 20, true},
	} {
		r, err := loadText(good, c.variant)
		if err == nil {
			r, err = r.With(c.settings)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Connections(c.workers, c.pool, c.inFlight); got != c.want || r.Bounded() != c.bounded {
			t.Errorf("%+v: %d connections, bounded %t", c, got, r.Bounded())
		}
	}
}

func TestMissingNamesPackages(t *testing.T) {
	r, err := loadText(good, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []target.Need{{What: "nothing", Package: "libnothing-dev"}, {What: "a failing thing", Package: "failing"}}
	if got := r.Missing(t.Context()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	t.Setenv("PATH", t.TempDir())
	none, err := loadText(strings.Replace(good, ", /bin/sh]", "]", 1), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := none.Missing(t.Context()); len(got) != 3 || got[0] != (target.Need{What: "sh", Package: "dash"}) {
		t.Errorf("without a shell: %v", got)
	}
	failing, err := loadText(strings.Replace(good, `"exit 0"`, `"exit 1"`, 1), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := failing.Missing(t.Context()); len(got) != 3 {
		t.Errorf("with a shell that fails its check: %v", got)
	}
}

func TestShippedRecipes(t *testing.T) {
	names, err := target.List(os.DirFS("../../targets"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"django", "fastapi", "flask", "go-nethttp", "node-fastify"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in the binary, only %v", name, names)
		}
	}
	for _, name := range names {
		r, err := target.Load(os.DirFS("../../targets"), name, "")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, variant := range r.Variants() {
			if _, err := target.Load(os.DirFS("../../targets"), name, variant); err != nil {
				t.Error(err)
			}
		}
		if idle, err := r.KeepAlive(); err != nil || idle != 75*time.Second {
			t.Errorf("%s: keep-alive %v, %v: targets are to be alike", name, idle, err)
		}
		onDisk, err := target.Load(os.DirFS("../../targets"), name, "")
		if err != nil || onDisk.Digest() != r.Digest() {
			t.Errorf("%s: the folder and the binary differ: %v", name, err)
		}
	}
}

// What is committed must hold on any machine, with any registry.
func TestShippedFilesNameNoMachine(t *testing.T) {
	forbidden := regexp.MustCompile(`--(extra-)?index-url|--find-links|--trusted-host|"resolved"|registry\.|pypi\.org|pythonhosted|proxy\.golang|/root/|/home/|/tmp/|/opt/`)
	files := 0
	err := fs.WalkDir(os.DirFS("../../targets"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(os.DirFS("../../targets"), name)
		if err != nil {
			return err
		}
		files++
		for i, line := range strings.Split(string(data), "\n") {
			if found := forbidden.FindString(line); found != "" {
				t.Errorf("%s:%d: %s", name, i+1, found)
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("%d files, %v", files, err)
	}
}

// Every package a lock names must carry a hash.
func TestShippedLocksAreHashed(t *testing.T) {
	locks, err := fs.Glob(os.DirFS("../../targets"), "*/*.lock")
	if err != nil || len(locks) < 5 {
		t.Fatalf("%v, %v", locks, err)
	}
	pin := regexp.MustCompile(`^[A-Za-z0-9_.-]+(\[[a-z,]+\])?==[^ ]+( ; .*)? \\$`)
	hash := regexp.MustCompile(`^    --hash=sha256:[0-9a-f]{64}( \\)?$`)
	for _, name := range locks {
		data, err := fs.ReadFile(os.DirFS("../../targets"), name)
		if err != nil {
			t.Fatal(err)
		}
		afterPin := false
		for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			if isPin := pin.MatchString(line); !isPin && !hash.MatchString(line) || isPin && afterPin || i == 0 && !isPin {
				t.Errorf("%s:%d: %q", name, i+1, line)
			} else {
				afterPin = isPin
			}
		}
	}
	npm, err := fs.ReadFile(os.DirFS("../../targets"), "node-fastify/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if packages, hashes := strings.Count(string(npm), `"node_modules/`), strings.Count(string(npm), `"integrity": "sha512-`); packages < 10 || packages != hashes {
		t.Errorf("package-lock.json: %d packages, %d hashes", packages, hashes)
	}
}

// The two greenified targets share two files; each folder has its own copy, so that it stands alone.
func TestCopiesInShippedTargetsAreAlike(t *testing.T) {
	for _, same := range [][]string{
		{"django/green.py", "flask/green.py"},
		{"django/gunicorn.conf.py", "flask/gunicorn.conf.py"},
		{"django/build.lock", "flask/build.lock"},
		{"django/versions.py", "flask/versions.py", "fastapi/versions.py"},
	} {
		first, err := fs.ReadFile(os.DirFS("../../targets"), same[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range same[1:] {
			if other, err := fs.ReadFile(os.DirFS("../../targets"), name); err != nil || string(other) != string(first) {
				t.Errorf("%s and %s differ: %v", same[0], name, err)
			}
		}
	}
}

// The module files of the Go target have other names, else its folder would not be in the binary.
func TestGoTargetIsEmbedded(t *testing.T) {
	for _, name := range []string{"main.go", "module.txt", "modulesum.txt", "target.yaml"} {
		if _, err := fs.Stat(os.DirFS("../../targets"), path.Join("go-nethttp", name)); err != nil {
			t.Error(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", "bakeoff/targets/...").CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}
