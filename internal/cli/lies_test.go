package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/dataset"
	"bakeoff/internal/load"
	"bakeoff/internal/record"
)

// fate is what becomes of a lie: it is refused for a reason, or it comes to nothing, and then the trial is valid.
type fate struct {
	code, text string // of the reason; no code: it comes to nothing
	or         string // another code that the reason may have
	log        string // that the replica has printed, where that says
	argument   func(s *scene) string
}

// processFates are those of the lies about processes and files.
func processFates() map[string]fate {
	runs := func(s *scene) string { return s.path("runs") }
	out := map[string]fate{
		"ghost":       {code: record.CodeGhost, text: "(server)"},
		"late-ghost":  {code: record.CodeGhost, text: "(server)"},
		"ready-ghost": {code: record.CodeGhost, text: "(server)"},
		"late-log":    {code: record.CodeLeftBehind, text: "access log: off is declared"},
		"rewrite":     {code: record.CodeRewritten, text: "load.jsonl", argument: runs},
	}
	if os.Geteuid() == 0 { // targets run under other accounts
		out["rewrite"] = fate{log: "0 files shortened", argument: runs}
		out["memory"] = fate{log: "memory: <nil>", argument: inMemory} // it is removed
		out["spy"] = fate{log: "0 environments read, 0 processes may be signalled, HOME: <nil>"}
	}
	return out
}

// inMemory is a file of the scene's own that only memory holds.
func inMemory(s *scene) string {
	return "/dev/shm/" + strings.ReplaceAll(strings.Trim(s.path("memory"), "/"), "/", "-")
}

// answerFates are those of the lies about answers.
func answerFates() map[string]fate {
	return map[string]fate{
		"rare":    {code: record.CodeWrongAnswers, text: "wrong id: key "},
		"lengths": {code: record.CodeWrongAnswers, text: "wrong id: key "},
		"oracle":  {code: record.CodeWrongAnswers, text: "wrong id: key ", argument: foreseen},
		"letters": {code: record.CodeWrongAnswers, text: ": key "},
	}
}

// databaseFates are those of the lies about what the database is asked.
func databaseFates() map[string]fate {
	return map[string]fate{
		"copy":     {code: record.CodeWitness},
		"nothing":  {code: record.CodeWitness},
		"cheap":    {code: record.CodeLookups},
		"range":    {code: record.CodeLookups, text: "ranges of an index"},
		"fixed":    {code: record.CodeContract},
		"busy":     {code: record.CodeStale},
		"nameless": {code: record.CodeContract},
		// Two that wait for the same key are one index read: then there are too few, and nothing else is compared.
		"many":      {code: record.CodeLookups, or: record.CodeWitness},
		"many-paid": {code: record.CodeLookups, or: record.CodeWitness},
		"underway":  {code: record.CodeLeftBehind},
		"leftover":  {code: record.CodeLeftBehind},
		"pool":      {code: record.CodeDeclared, text: "database connections: "},
		"half-pool": {code: record.CodeDeclared, text: "database connections: "},
		"password":  {log: "password: "}, // it ends with its account
		"lock":      {code: record.CodeLocks},
	}
}

// movesFates are those of the lies about rows that change.
func movesFates() map[string]fate {
	return map[string]fate{
		"held":         {code: record.CodeLocks, text: "while rows were to change"},
		"until-change": {code: record.CodeStale, or: record.CodeContract}, // on a busy machine the check takes it for the load
		"first-sight":  {code: record.CodeStale},
		"checked":      {code: record.CodeStale, or: record.CodeContract},
	}
}

// turnsFates are those of the lies that are for the next one's turn.
func turnsFates() map[string]fate {
	return map[string]fate{"afterwards": {code: record.CodeWitness, or: record.CodeLookups}}
}

// shortFates are those of the lies that need short names.
func shortFates() map[string]fate {
	return map[string]fate{"short": {code: record.CodeStale}}
}

// foreseen is a file with the keys that nobody would check if that followed from the plan alone.
func foreseen(s *scene) string {
	s.t.Helper()
	rows, err := dataset.New(dataset.Spec{Rows: 2000, Seed: 1, MinLength: 1, MaxLength: 255})
	if err != nil {
		s.t.Fatal(err)
	}
	keys, err := dataset.NewKeys(rows, 1, 0.5)
	if err != nil {
		s.t.Fatal(err)
	}
	unchecked := map[string]bool{}
	var buf []byte
	for phase := range 3 {
		checker := load.Phase{CheckShare: 0.1}.Checker()
		for connection := range 4 {
			stream := uint64(phase)<<32 | uint64(connection+1)
			for n := range uint64(1000) {
				buf, _, _ = keys.AppendKey(buf[:0], stream, n)
				checked, known := unchecked[string(buf)]
				unchecked[string(buf)] = (!known || checked) && !checker.Checks(stream, n)
			}
		}
	}
	maps.DeleteFunc(unchecked, func(_ string, no bool) bool { return !no })
	data, err := json.Marshal(unchecked)
	if err != nil {
		s.t.Fatal(err)
	}
	path := s.write("unchecked.json", string(data))
	if err := os.Chmod(path, 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// lie is lieIn with names of all lengths.
func (s *scene) lie(fates map[string]fate, loaded string, more ...string) {
	s.t.Helper()
	s.lieIn("{rows: 2000}", fates, loaded, more...)
}

// lieIn runs the lying target once with each of these lies, and once without any, each under load for so long, and checks what
// becomes of each; more are further lines of the plan. Where a busy machine had a trial refused that should be valid it runs again.
func (s *scene) lieIn(dataset string, fates map[string]fate, loaded string, more ...string) {
	t := s.t
	t.Helper()
	if err := os.CopyFS(s.path("lying"), os.DirFS("../contract/testdata/liar")); err != nil {
		t.Fatal(err)
	}
	fates["none"] = fate{}
	var targets []string
	for _, name := range slices.Sorted(maps.Keys(fates)) {
		settings := "LIE: " + name
		if argument := fates[name].argument; argument != nil {
			settings += ", LIE_ARG: " + argument(s)
		}
		targets = append(targets, fmt.Sprintf("{name: %s, recipe: ./lying, settings: {%s}}", name, settings))
	}
	more = append(more, `allow_unfair: "each target is told to lie in another way"`)
	text := planText(strings.Join(targets, ", "), 1, more...)
	text = strings.Replace(text, "{rows: 2000}", dataset, 1)
	s.write("lies.yaml", strings.Replace(text, "duration: 1s", "duration: "+loaded, 1))
	for range 3 {
		e := s.start("run", "--short", "lies.yaml")
		e.wantStatus(0, 4*time.Minute)
		e.nothingLeft(time.Second)
		crowded := s.fates(fates)
		if len(crowded) == 0 {
			return
		}
		t.Logf("the machine was too busy for %v", crowded)
		if err := os.RemoveAll(s.path("runs")); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the machine was too busy for a run three times")
}

// fates checks what became of each lie, and returns those that a busy machine hides.
func (s *scene) fates(fates map[string]fate) (crowded []string) {
	t := s.t
	t.Helper()
	if _, err := os.Stat(inMemory(s)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", inMemory(s), err)
	}
	last := ofBlocks(lastAttempts(t, s.open()))
	if len(last) != len(fates) {
		t.Errorf("%d trials, want one of each of %d lies", len(last), len(fates))
	}
	for _, a := range last {
		want := fates[a.said.Target]
		is := slices.IndexFunc(a.said.Reasons, func(r record.Reason) bool {
			return (r.Code == want.code || want.or != "" && r.Code == want.or) && strings.Contains(r.Text, want.text)
		})
		switch {
		case want.code != "" && is >= 0:
			t.Logf("%s is refused: %s: %s", a.said.Target, a.said.Reasons[is].Code, a.said.Reasons[is].Text)
		case busy(a.said):
			crowded = append(crowded, a.said.Target)
			continue
		case want.code != "":
			t.Errorf("%s is %s, %+v, want the reason %s with %q", a.said.Target, a.said.Status, a.said.Reasons, want.code, want.text)
		case a.said.Status != record.Valid:
			t.Errorf("%s is refused: %+v, want it valid", a.said.Target, a.said.Reasons)
		}
		s.printed(a, want.log)
	}
	return crowded
}

// printed checks that the replica of a trial has printed a text.
func (s *scene) printed(a attempt, want string) {
	s.t.Helper()
	log, err := os.ReadFile(filepath.Join(s.theRun(), "trials", a.Folder, "logs", a.said.Target+"-1.log"))
	if err != nil || !strings.Contains(string(log), want) {
		s.t.Errorf("%s printed %q, %v, want %q", a.said.Target, log, err, want)
	}
}

// docs/trust.md has a row for every lie, and no other.
func TestLiesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| lie | ")
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []string
	for _, row := range strings.Split(table, "\n")[2:] {
		rows = append(rows, strings.Trim(strings.Split(row, "|")[1], " `"))
	}
	want := []string{"none", "memory", "spy"} // the last two have no fate where bakeoff is not root
	for name := range allFates() {
		want = append(want, name)
	}
	slices.Sort(rows)
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(rows, want) {
		t.Errorf("docs/trust.md has rows for %q, the lies are %q", rows, want)
	}
}

// allFates are those of all lies.
func allFates() map[string]fate {
	all := map[string]fate{}
	for _, family := range []map[string]fate{answerFates(), processFates(), databaseFates(), movesFates(), shortFates(), turnsFates()} {
		maps.Copy(all, family)
	}
	return all
}

// untrue is long enough for answers that are not true any more.
const untrue = "2s"

// Four lies, and their honest form: each is refused by its name in a real run, or comes to nothing.
func TestLies(t *testing.T) {
	all, s := allFates(), newScene(t)
	some := map[string]fate{}
	for _, name := range []string{"rare", "oracle", "ghost", "rewrite"} {
		some[name] = all[name]
	}
	s.lie(some, "1s", "warmup: 0s")
}

// Where targets take turns, each that lies is refused for what it did itself, and the honest one next to them is not.
func TestLiesInTurns(t *testing.T) {
	if os.Getenv("BAKEOFF_LIES") == "" {
		t.Skip("SKIPPED: make test-lies sets BAKEOFF_LIES")
	}
	all, s := allFates(), newScene(t)
	names := []string{"cheap", "lock", "leftover", "rare", "afterwards"}
	if os.Geteuid() == 0 {
		names = append(names, "ghost") // else its process may be any target's, and all are refused
	}
	some := map[string]fate{}
	for _, name := range names {
		some[name] = all[name]
	}
	s.lie(some, untrue, "turns: 250ms")
}

// All of them, in two runs at the same time.
func TestAllLies(t *testing.T) {
	if os.Getenv("BAKEOFF_LIES") == "" {
		t.Skip("SKIPPED: make test-lies sets BAKEOFF_LIES")
	}
	others := answerFates()
	maps.Copy(others, processFates())
	maps.Copy(others, movesFates())
	for name, fates := range map[string]map[string]fate{"database": databaseFates(), "answers, processes, rows that change": others} {
		t.Run(name, func(t *testing.T) { newScene(t).lie(fates, untrue) })
	}
}

// In turns a target is found out that uses what the other one leaves of its connections to the database.
func TestLiesAboutPoolsInTurns(t *testing.T) {
	if os.Getenv("BAKEOFF_LIES") == "" {
		t.Skip("SKIPPED: make test-lies sets BAKEOFF_LIES")
	}
	newScene(t).lie(map[string]fate{"pool": databaseFates()["pool"]}, untrue, "turns: 250ms")
}

// Where all names are short, rows with such names change.
func TestLiesAboutShortNames(t *testing.T) {
	if os.Getenv("BAKEOFF_LIES") == "" {
		t.Skip("SKIPPED: make test-lies sets BAKEOFF_LIES")
	}
	newScene(t).lieIn("{rows: 2000, lengths: {max: 16}}", shortFates(), untrue)
}

// ofHonesty are the reasons that an honest target must never have.
var ofHonesty = []string{
	record.CodeContract, record.CodeLeftBehind, record.CodeLocks, record.CodeAccount, record.CodeWitness, record.CodeLookups, record.CodeStale, record.CodeMoves,
	record.CodeDeclared, record.CodeWrongAnswers, record.CodeBooks, record.CodeGhost, record.CodeRewritten, record.CodeNotStopped,
}

// 40 short trials of the shipped targets, half of them in turns: none is refused for what a lie would be. What the machine did is
// said, and refuses nothing here.
func TestLongHonest(t *testing.T) {
	if os.Getenv("BAKEOFF_LONG") == "" {
		t.Skip("set BAKEOFF_LONG=1 for 40 trials")
	}
	s := aloneScene(t)
	s.alone = true
	trials, refused := 0, 0
	for name, turns := range map[string]string{"in turns": "turns: 250ms", "one after another": "turns: off"} {
		s.write("honest.yaml", fmt.Sprintf(`name: honest
blocks: 4
dataset: {rows: 20000}
deployment: {replicas: 1, workers: 2, pool: 8}
targets: [%s]
warmup: 1s
%s
phases:
  - {name: closed, model: closed, connections: 16, duration: 3s}
  - {name: open, model: open, rate: 100, connections: 64, duration: 3s}
`, strings.Join(shippedTargets, ", "), turns))
		e := s.start("run", "--out", "honest", "honest.yaml")
		<-e.done
		t.Logf("%s: %v\n%s", name, e.cmd.ProcessState, e.stderr)
		tried, bad := s.honest(t, s.path("honest"), name)
		trials, refused = trials+tried, refused+bad
		if err := os.RemoveAll(s.path("honest")); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d trials, %d refused for what a lie would be", trials, refused)
	if trials < 40 {
		t.Errorf("only %d trials", trials)
	}
}

// honest counts the trials of the one run in a folder, and those that were refused for what a lie would be. It says every reason.
func (s *scene) honest(t *testing.T, runs, name string) (trials, refused int) {
	t.Helper()
	listed, err := record.List(runs)
	if err != nil || len(listed) != 1 {
		t.Fatalf("%d runs in %s, %v", len(listed), runs, err)
	}
	r, err := record.Open(listed[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range r.Trials() {
		trial, err := state.Trial()
		if err != nil || trial.Block == 0 {
			continue
		}
		trials++
		lied := false
		for _, reason := range trial.Reasons {
			t.Logf("%s, block %d, %s, attempt %d: %s: %s", name, trial.Block, trial.Target, trial.Attempt, reason.Code, reason.Text)
			if slices.Contains(ofHonesty, reason.Code) {
				lied = true
				t.Errorf("%s is refused: %s: %s", trial.Target, reason.Code, reason.Text)
			}
		}
		if lied {
			refused++
		}
	}
	return trials, refused
}
