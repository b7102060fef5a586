package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"bakeoff/internal/figures"
	"bakeoff/internal/record"
	"bakeoff/internal/record/recordtest"
)

// withThresholds are the figures of a run in which the first target has half of the throughput of the second.
func withThresholds(t *testing.T, thresholds string) *figures.Summary {
	t.Helper()
	r := recordtest.Of(6, "django", "flask")
	r.ClosedS, r.OpenS = 1, 0
	r.Rate = func(target string, block int) int {
		return map[string]int{"django": 500, "flask": 1000}[target] + 2*block
	}
	r.Plan("throughput", `"thresholds":`+thresholds)
	return build(t, r.Write(t))
}

const someThresholds = `["closed: throughput > 400/s", "closed: django.throughput > 0.95 * flask.throughput", "closed: flask.p99.99 < 1s", "closed: django.ok > 3000", "closed: errors < 1%"]`

// Every form of the report has every threshold, with its figure, interval and outcome.
func TestThresholdsShown(t *testing.T) {
	s := withThresholds(t, someThresholds)
	var page bytes.Buffer
	check(t, WriteHTML(&page, s, figures.Others{}))
	forms := map[string]string{"text": asText(t, s), "Markdown": asMarkdown(t, s), "page": words(must[*html.Node](t)(html.Parse(&page)))}
	for form, text := range forms {
		text = strings.Join(strings.Fields(text), " ")
		for _, want := range []string{
			"Thresholds of the plan", "django.throughput", "0.503", "[0.50", "MISSED", "closed: flask.p99.99 < 1s",
			"undecided: block 1 of flask: p99.99 needs 1,000,000 requests, it has", "3,042", "Bonferroni", "507/s", "met or missed when the whole interval is on one side",
		} {
			if !strings.Contains(strings.ReplaceAll(text, "&lt;", "<"), want) && !strings.Contains(strings.ReplaceAll(text, `\`, ""), want) {
				t.Errorf("%s: no %q", form, want)
			}
		}
	}
	var screen bytes.Buffer
	check(t, WriteScreen(&screen, s, figures.Others{}, "bakeoff report x --full", 0))
	line := strings.Join(strings.Fields(screen.String()), " ")
	if want := "thresholds 5 of 7 met; MISSED: closed: django.throughput > 0.95 * flask.throughput (django: 0.503); undecided: closed: flask.p99.99 < 1s (flask)"; !strings.Contains(line, want) {
		t.Errorf("no %q in\n%s", want, screen.String())
	}
	if s := withThresholds(t, "[]"); strings.Contains(asText(t, s), "hreshold") {
		t.Error("a run without thresholds speaks of them")
	}
}

// JUnit has a test for each threshold of the plan of two versions: missed it fails, undecided it is skipped, or fails with strict.
func TestABThresholds(t *testing.T) {
	s := twoVersions(t, 8, 1, func(r *recordtest.Run) {
		r.Plan("throughput", `"thresholds":["closed: throughput > 0.9 * base.throughput", "closed: p50 < 1ns", "closed: p99.99 < 1s"]`)
	})
	markdown, loose := abText(t, s, false)
	_, strict := abText(t, s, true)
	for _, want := range []string{"Thresholds of the plan:", "| head | 1.00", "MISSED", "undecided: block 1 of head"} {
		if !strings.Contains(markdown, want) {
			t.Errorf("no %q in\n%s", want, markdown)
		}
	}
	count := func(text string) string {
		var j junit
		check(t, xml.Unmarshal([]byte(text), &j))
		one := j.Suites[0]
		failed, skipped := 0, 0
		for _, c := range one.Cases {
			if c.Failure != nil {
				failed++
			}
			if c.Skipped != nil {
				skipped++
			}
		}
		if failed != one.Failures || skipped != one.Skipped || len(one.Cases) != one.Tests {
			t.Errorf("the counts are not those of the tests:\n%s", text)
		}
		return fmt.Sprintf("%d tests, %d failed, %d skipped", one.Tests, one.Failures, one.Skipped)
	}
	if got := count(loose); got != "4 tests, 1 failed, 1 skipped" || !strings.Contains(loose, `type="missed"`) {
		t.Errorf("%s:\n%s", got, loose)
	}
	if count(strict) != "4 tests, 2 failed, 0 skipped" {
		t.Errorf("strict:\n%s", strict)
	}
	var aborted bytes.Buffer
	check(t, WriteABJUnit(&aborted, s, false, errors.New("x")))
	if count(aborted.String()) != "4 tests, 1 failed, 1 skipped" {
		t.Error(aborted.String())
	}
}

// What a forged record calls a threshold stays text.
func TestThresholdsHostile(t *testing.T) {
	s := withThresholds(t, someThresholds)
	for i := range s.Thresholds {
		s.Thresholds[i].Text, s.Thresholds[i].Target, s.Thresholds[i].Why, s.Thresholds[i].Unit = hostile(), hostile(), hostile(), hostile()
	}
	var page bytes.Buffer
	check(t, WriteHTML(&page, s, figures.Others{}))
	for _, image := range all(must[*html.Node](t)(html.Parse(&page)), "img") {
		t.Errorf("an image: %v", image.Attr)
	}
	var screen bytes.Buffer
	check(t, WriteScreen(&screen, s, figures.Others{}, "x", 0))
	for form, text := range map[string]string{"screen": screen.String(), "text": asText(t, s), "Markdown": asMarkdown(t, s)} {
		if strings.ContainsAny(text, "\x1b\u202e") || form == "Markdown" && strings.Contains(text, "<img") {
			t.Errorf("%s is not harmless", form)
		}
	}
	versions := twoVersions(t, 8, 1, nil)
	versions.Thresholds = s.Thresholds
	versions.AB.Base = record.Revision{Given: "main"}
	if _, junit := abText(t, versions, false); strings.ContainsAny(junit, "\x1b\u202e") {
		t.Error("JUnit holds control characters")
	}
}
