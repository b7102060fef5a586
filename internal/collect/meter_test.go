package collect

import (
	"context"
	"testing"
	"time"

	"bakeoff/internal/record"
)

// counting is a meter whose counters grow with each reading.
type counting struct{ reads int64 }

func (c *counting) Read(_ context.Context, sources []Source) []Reading {
	c.reads++
	var out []Reading
	for i, source := range sources {
		line := record.Series{Tier: source.Tier, Name: source.Process.Name(), CPUNS: c.reads}
		if source.Tier == "database" {
			line.Values = map[string]float64{"throttled_ns": 5}
		}
		out = append(out, Reading{i, line})
	}
	return append(out, Reading{-1, record.Series{Tier: "host", Name: "host", CPUNS: 10 * c.reads}})
}

// What a meter reads is sampled as this machine is: at the edges of a phase, each line where its source's lines go, the host
// last, and the database's with its gauges.
func TestMeter(t *testing.T) {
	var got, own lines
	named := func(name string) tree { return tree{name: name} }
	sources := []Source{{Tier: "target", Process: named("a-1"), Sink: own.put}, {Tier: "database", Process: named("database")}}
	status := func(context.Context) (map[string]float64, error) {
		return map[string]float64{"threads_connected": 3}, nil
	}
	s := StartMeter(t.Context(), &counting{}, time.Hour, sources, status, got.put)
	s.Phase(2)
	s.Phase(-1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if in := own.of("a-1", 2); len(in) != 2 || in[0].CPUNS != 1 || in[1].CPUNS != 2 || in[0].At.IsZero() || len(got.of("a-1", 2)) != 0 {
		t.Errorf("the target's: %+v", in)
	}
	db := got.of("database", 2)
	if len(db) != 2 || db[0].Values["threads_connected"] != 3 || db[0].Values["throttled_ns"] != 5 {
		t.Errorf("the database's: %+v", db)
	}
	if last := got.all[len(got.all)-1]; last.Tier != "host" || last.CPUNS != 20 {
		t.Errorf("the last line is %+v", last)
	}
}
