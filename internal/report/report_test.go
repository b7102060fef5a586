package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bakeoff/internal/record"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/name, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		check(t, os.MkdirAll("testdata", 0o755))
		check(t, os.WriteFile(path, got, 0o644))
	}
	want := must[[]byte](t)(os.ReadFile(path))
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func outputs(t *testing.T, name string, s *Summary) {
	t.Helper()
	var text, markdown bytes.Buffer
	check(t, WriteText(&text, s, 100))
	check(t, WriteMarkdown(&markdown, s))
	golden(t, name+".txt", text.Bytes())
	golden(t, name+".md", markdown.Bytes())
	golden(t, name+".json", append(must[[]byte](t)(json.MarshalIndent(s, "", " ")), '\n'))
}

func TestWholeRun(t *testing.T) {
	s := demo()
	w := s.begin(t)
	s.whole(t, w)
	check(t, w.Finish(record.Complete, ""))
	outputs(t, "whole", open(t, w))
}
