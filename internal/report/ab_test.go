package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// hostile is what somebody may call a version, a package or a cause to reach further than the text.
func hostile() string {
	return "</script><img src=x onerror=alert(1)>\x1b[31m=cmd|' /C calc'!A0 \u202etxt.exe ]]></failure> --> | `x` [a](javascript:b) " + strings.Repeat("w", 10_000)
}

// twoVersions are the figures of a run of that many blocks in which head has this multiple of base's throughput.
func twoVersions(t *testing.T, blocks int, head float64, change func(*recordtest.Run)) *figures.Summary {
	t.Helper()
	r := recordtest.Of(blocks, record.Base, record.Head)
	r.OpenS = 0
	r.Rate = func(target string, block int) int {
		if target == record.Head {
			return 2 * int(head*500*(1+0.001*float64(block%5)))
		}
		return 1000
	}
	r.Head.Revisions = &record.Revisions{Base: record.Revision{Given: "main", Commit: "0123456789abcdef0123", Folder: "app"}, Head: record.Revision{Given: "./app", Tree: true, Dirty: true}}
	if change != nil {
		change(r)
	}
	return must[*figures.Summary](t)(figures.Build(must[*record.Reader](t)(record.Open(r.Write(t)))))
}

func abText(t *testing.T, s *figures.Summary, strict bool) (markdown, junit string) {
	t.Helper()
	var m, j bytes.Buffer
	check(t, WriteABMarkdown(&m, s))
	check(t, WriteABJUnit(&j, s, strict, nil))
	return m.String(), j.String()
}

func TestABTexts(t *testing.T) {
	worse := twoVersions(t, 8, 0.8, nil)
	markdown, junit := abText(t, worse, false)
	for _, want := range []string{
		ABMark + "\n### head is worse than base: at least ", "| version | main (0123456789ab) | ./app (changed) |", "head has changes that are in no commit; they were measured",
		"| 3 | 1,000 | ", "head/base is 0.8", "from 8 blocks; differences up to 3 % do not matter",
	} {
		if !strings.Contains(markdown, want) {
			t.Errorf("no %q in\n%s", want, markdown)
		}
	}
	if !strings.Contains(junit, `<failure message="head is worse than base: at least `) || !strings.Contains(junit, `type="worse"`) {
		t.Error(junit)
	}
	if _, junit := abText(t, twoVersions(t, 8, 1, nil), true); strings.Contains(junit, "<failure") || strings.Contains(junit, "<error") {
		t.Errorf("equivalent:\n%s", junit)
	}
	few := twoVersions(t, 3, 0.8, nil)
	markdown, junit = abText(t, few, false)
	if want := "no verdict: 3 blocks with a valid trial of both, and a verdict takes 6"; !strings.Contains(markdown, "### "+want) || !strings.Contains(junit, `<error message="`+want+`" type="too-few-valid-trials">`) {
		t.Errorf("three blocks:\n%s\n%s", markdown, junit)
	}
}

// A run that failed fails its test, though its blocks would do for a verdict.
func TestABAborted(t *testing.T) {
	var junit bytes.Buffer
	check(t, WriteABJUnit(&junit, twoVersions(t, 8, 1, nil), false, errors.New("the disk is \x1b full")))
	if got := junit.String(); !strings.Contains(got, `errors="1"`) || !strings.Contains(got, `<error message="the run was aborted: the disk is `) || !strings.Contains(got, `type="aborted"`) || strings.Contains(got, "\x1b") {
		t.Error(got)
	}
}

// Whatever comes from outside stays text, in both, and the comment stays short enough.
func TestABHostile(t *testing.T) {
	s := twoVersions(t, 8, 0.8, func(r *recordtest.Run) {
		r.Head.Revisions.Base.Given = hostile()
		for i := range 400 {
			r.Head.Targets[0].Versions[fmt.Sprintf("%d%s", i, hostile()[:200])] = hostile()[:100]
		}
		r.Head.Machine.CPU = hostile()
		r.Change = func(trial *record.Trial) {
			if trial.Block == 2 {
				trial.Status, trial.Reasons = record.Invalid, []record.Reason{{Code: "contract", Text: hostile()}}
			}
		}
	})
	markdown, junit := abText(t, s, false)
	if len(markdown) > mostComment || !strings.Contains(markdown, "too long for a comment") {
		t.Errorf("a comment of %d bytes, which must be bounded and say so", len(markdown))
	}
	body := strings.ReplaceAll(strings.TrimPrefix(markdown, ABMark), "<br/>", "")
	for _, tag := range []string{"<details>", "</details>", "<summary>", "</summary>"} {
		body = strings.ReplaceAll(body, tag, "")
	}
	for _, evil := range []string{"<", "\x1b", "\u202e", " [a]", " `x`"} {
		if strings.Contains(body, evil) {
			at := strings.Index(body, evil)
			t.Errorf("%q is in the Markdown: ...%s", evil, body[max(0, at-60):at+20])
		}
	}
	if strings.ContainsAny(junit, "\x1b\u202e") {
		t.Error("control characters in JUnit")
	}
	names := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(junit)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		check(t, err)
		if start, ok := token.(xml.StartElement); ok {
			names[start.Name.Local]++
		}
	}
	if len(names) != 5 || names["testcase"] != 1 || names["failure"] != 1 {
		t.Errorf("elements of JUnit: %v", names)
	}
}
