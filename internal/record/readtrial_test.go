package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A trial that is named by its proof alone is what a reader of the whole run says, and is proven: its trial.json has the
// digest, and the other files have the length that it seals.
func TestReadTrial(t *testing.T) {
	dir := smallRunIn(t, true)
	state := mustOpen(t, dir).Trials()[1]
	want, err := state.Trial()
	check(t, err)
	folder := filepath.Join(dir, trialsFolder, state.Folder)
	content, err := os.ReadFile(filepath.Join(folder, trialFile))
	check(t, err)
	proof := Proof{Folder: state.Folder, Block: want.Block, Position: want.Position, Target: want.Target, Attempt: want.Attempt, SHA256: sum(content)}
	got, err := ReadTrial(dir, proof)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}

	elsewhere, gone, another := proof, proof, proof
	elsewhere.Folder = "../" + proof.Folder
	gone.Folder, gone.Attempt = trialFolder(gone.Block, gone.Position, gone.Target, 7), 7
	another.SHA256 = sum(nil)
	for _, c := range []struct {
		name, file string // which gets the content
		content    []byte
		proof      Proof
		want       string
	}{
		{"another folder", "", nil, elsewhere, "is not the folder of trial"},
		{"no folder", "", nil, gone, "no such file"},
		{"another digest", "", nil, another, "differs from its digest in events.jsonl"},
		{"a longer log", filepath.Join(logsFolder, "target.log"), []byte("hello and more\n"), proof, "sealed with 6"},
		{"no JSON", trialFile, []byte("{"), Proof{
			Folder: proof.Folder, Block: proof.Block, Position: proof.Position, Target: proof.Target, Attempt: proof.Attempt, SHA256: sum([]byte("{")),
		}, "unexpected end of JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.file != "" {
				path := filepath.Join(folder, c.file)
				before, err := os.ReadFile(path)
				check(t, err)
				check(t, os.WriteFile(path, c.content, 0o600))
				defer os.WriteFile(path, before, 0o600)
			}
			if got, err := ReadTrial(dir, c.proof); err == nil || !strings.Contains(err.Error(), c.want) || got.Target != "" {
				t.Errorf("%+v, %v; want an error with %q", got, err, c.want)
			}
		})
	}
}
