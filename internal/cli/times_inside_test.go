package cli

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"bakeoff/internal/plan"
	"bakeoff/internal/venue/machine"
)

// What check says that a plan takes is within 15 % of a recorded run of it, in all and in each part: once, the pilot, and a block.
func TestExpectedDurationOfRecordedRuns(t *testing.T) {
	for _, name := range []string{"demo", "seed-jmeter"} {
		text, err := os.ReadFile(filepath.Join("../../plans", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Load(name, text)
		if err != nil {
			t.Fatal(err)
		}
		took := recordedTimes(t, name)
		took["before"] += p.Rest() - took["rest"] // that the machine was watched at rest was shorter then, and is in it
		o := new(machine.Venue).Overhead()
		o.Loading, o.Turns = loading(), p.Turns > 0
		whole, block := p.Expected(o), p.Block(o)
		unpiloted := *p
		unpiloted.Pilot = 0
		pilot := whole - unpiloted.Expected(o)
		blocks := time.Duration(p.Blocks)
		for part, c := range map[string]struct{ expected, took time.Duration }{
			"once":  {whole - pilot - blocks*block, took["before"] + took["after"]},
			"pilot": {pilot, took["pilot"]},
			"block": {block, took["block"] + time.Duration(len(p.Targets))*took["trial"]},
			"whole": {whole, took["before"] + took["pilot"] + blocks*(took["block"]+time.Duration(len(p.Targets))*took["trial"]) + took["after"]},
		} {
			t.Logf("%s, %s: %v expected, it took %v", name, part, c.expected, c.took)
			if (c.expected - c.took).Abs() > 15*c.took/100 {
				t.Errorf("%s, %s: %v expected, it took %v", name, part, c.expected, c.took)
			}
		}
	}
}

// recordedTimes are what the parts of a recorded run took; of blocks and trials their mean.
func recordedTimes(t *testing.T, name string) map[string]time.Duration {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "times", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := csv.NewReader(file)
	lines.Comment = '#'
	rows, err := lines.ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	sums, counts := map[string]time.Duration{}, map[string]time.Duration{}
	for _, row := range rows[1:] {
		seconds, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sums[row[0]] += time.Duration(seconds * float64(time.Second))
		counts[row[0]]++
	}
	for part := range sums {
		sums[part] /= counts[part]
	}
	return sums
}
