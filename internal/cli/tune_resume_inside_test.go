package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A tuning that is interrupted, early or late, is resumed: what it has measured is not measured again, and the result is that of
// one that was not interrupted. Resumed once more it has nothing left to do, and says the same.
func TestTuneResumed(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [3, 4, 7, 12]}")
	synctest.Test(t, func(t *testing.T) {
		whole := tuneWorld(t, 1, text, peak(0.05)).tuned(t, tuneFlags{json: true}, text)
		if whole.err != nil || len(whole.json.Search) != 2 {
			t.Fatalf("%v: %+v", whole.err, whole.json)
		}
		for _, share := range []float64{0.2, 0.5, 0.9} {
			w, dir := tuneWorld(t, 1, text, peak(0.05)), memoryDir(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(share*float64(whole.took)))
			cut := w.tunedIn(t, ctx, dir, tuneFlags{json: true}, text)
			cancel()
			if cut.err == nil || cut.stdout != "" || !strings.Contains(cut.stderr, "the same command with --resume continues from what is there\n") {
				t.Fatalf("after %v: %v, %q\n%s", share, cut.err, cut.stdout, cut.stderr)
			}
			got := w.tunedIn(t, t.Context(), dir, tuneFlags{json: true, resume: true}, text)
			if got.err != nil || got.took >= time.Duration((1.2-share)*float64(whole.took)) {
				t.Fatalf("after %v, in %v of %v: %v\n%s", share, got.took, whole.took, got.err, got.stderr)
			}
			if was, is := whole.json.Targets[0], got.json.Targets[0]; is.Best != was.Best || is.Rival != was.Rival || is.Verdict != was.Verdict || is.Comparison.Blocks != was.Comparison.Blocks {
				t.Errorf("after %v: %+v, uninterrupted %+v", share, is, was)
			}
			if entries, err := os.ReadDir(got.runs); err != nil || len(entries) != len(got.json.Search)+1 {
				t.Errorf("after %v: %d run directories, %v", share, len(entries), err)
			}
			nothingLeftToTune(t, w, dir, tuneFlags{}, text, got)
		}
	})
}

// What an older tuning of the same plan measured is no part of the one that is resumed, though it came to the same settings.
func TestTuneResumesTheNewest(t *testing.T) {
	text := fmt.Sprintf(swept, abFolder(t, "app"), "{workers: [2, 4, 7, 12]}")
	synctest.Test(t, func(t *testing.T) {
		w, dir := tuneWorld(t, 1, text, peak(0.2)), memoryDir(t)
		older := w.tunedIn(t, t.Context(), dir, tuneFlags{json: true}, text)
		if older.err != nil {
			t.Fatal(older.err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), older.took/2)
		cut := w.tunedIn(t, ctx, dir, tuneFlags{json: true}, text)
		cancel()
		got := w.tunedIn(t, t.Context(), dir, tuneFlags{json: true, resume: true}, text)
		if cut.err == nil || got.err != nil || got.json.Targets[0].Best != older.json.Targets[0].Best {
			t.Fatalf("%v, then %v: %+v\n%s", cut.err, got.err, got.json, got.stderr)
		}
		for i, run := range append(slices.Clone(got.json.Search), got.json.Confirm) {
			if was := append(slices.Clone(older.json.Search), older.json.Confirm)[i]; run.Dir == was.Dir || run.Targets != was.Targets {
				t.Errorf("%+v is part of it, as it was of the older one: %+v", run, was)
			}
		}
	})
}

// nothingLeftToTune resumes a tuning that is over: nothing is measured, and the result is the same.
func nothingLeftToTune(t *testing.T, w *abWorld, dir string, f tuneFlags, text string, was tuned) {
	t.Helper()
	starts := maps.Clone(w.starts)
	f.json, f.resume = true, true
	again := w.tunedIn(t, t.Context(), dir, f, text)
	if again.err != nil || again.stdout != was.stdout || again.markdown != was.markdown || !maps.Equal(w.starts, starts) {
		t.Errorf("resumed once more: %v, started %v after %v\n%s\n%s", again.err, w.starts, starts, again.markdown, was.markdown)
	}
	if n := strings.Count(again.stderr, " counts as it is\n"); n != len(was.json.Search)+1 {
		t.Errorf("%d runs count as they are:\n%s", n, again.stderr)
	}
}

// Where nothing of the same tuning is there, --resume is refused before anything is measured; so are figures of a recipe that has
// changed since.
func TestTuneResumeRefuses(t *testing.T) {
	folder := abFolder(t, "app")
	text := fmt.Sprintf(swept, folder, "{workers: [2, 7]}")
	synctest.Test(t, func(t *testing.T) {
		w, dir := tuneWorld(t, 1, text, peak(0.1)), memoryDir(t)
		refused := func(what string, f tuneFlags, want string) {
			starts := maps.Clone(w.starts)
			f.resume = true
			got := w.tunedIn(t, t.Context(), dir, f, text)
			if exitStatus(got.err) != exitUsage || !strings.Contains(got.err.Error(), want) || !maps.Equal(w.starts, starts) {
				t.Errorf("%s: status %d, %v, started %v after %v", what, exitStatus(got.err), got.err, w.starts, starts)
			}
		}
		const nothing = " has no run of small-search-1 that was made on this machine: there is nothing to resume"
		refused("no run", tuneFlags{}, nothing)
		got := w.tunedIn(t, t.Context(), dir, tuneFlags{json: true}, text)
		if got.err != nil {
			t.Fatal(got.err)
		}
		refused("another margin", tuneFlags{delta: "5%"}, nothing)
		w.machine = "elsewhere"
		refused("another machine", tuneFlags{}, nothing)
		w.machine = ""
		nothingLeftToTune(t, w, dir, tuneFlags{}, text, got)
		if err := os.RemoveAll(got.json.Confirm.Dir); err != nil {
			t.Fatal(err)
		}
		writeRecipe(t, folder, "changed")
		changed := w.tunedIn(t, t.Context(), dir, tuneFlags{resume: true}, text)
		if exitStatus(changed.err) != exitUsage || !strings.Contains(changed.err.Error(), "the recipe of app-w2 has changed since the tuning began") || changed.stdout != "" {
			t.Errorf("status %d, %v, %q", exitStatus(changed.err), changed.err, changed.stdout)
		}
	})
}
