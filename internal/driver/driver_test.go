package driver_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/driver"
	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

func specOf(a database.Access) driver.Spec {
	return driver.Spec{Host: a.Host, Port: a.Port, User: a.User, Password: a.Password, Schema: a.Name}
}

// phase has the engine carry out one, and returns what its windows add up to.
func phase(t *testing.T, w load.Workload, change func(*load.Job)) stats.Totals {
	t.Helper()
	job := load.Job{URLs: []string{driver.Base}, Workload: w, Start: time.Now(), Share: load.Share{Of: 1}, Seed: 7, Phase: load.Phase{
		Number: 1, Model: load.Closed, Connections: 4, Duration: 300 * time.Millisecond, Timeout: 5 * time.Second, CheckShare: 1,
	}}
	if change != nil {
		change(&job)
	}
	var sum stats.Totals
	if err := load.NewHTTP().Run(t.Context(), job, sum.Add); err != nil {
		t.Fatal(err)
	}
	return sum
}

// Agents that ask the database themselves keep the books of any other load: each request is one statement, as text or prepared, and
// one right answer, which the database counts as a lookup.
func TestLookups(t *testing.T) {
	server, data := filled(t)
	spec := specOf(server.Access())
	spec.Lookup = dataset.WorkloadSpec{
		Dataset: data.Spec(), Seed: 3, HitRatio: 0.5, Lookups: dataset.Client, LengthPresent: driver.LengthPresent, LengthAbsent: driver.LengthAbsent,
	}
	w, err := data.Workload(spec.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec.Prepared = range []bool{false, true} {
		travels(t, spec)
		for name, change := range map[string]func(*load.Job){
			"kept": nil, "a connection for each": func(j *load.Job) { j.Phase.Reconnect = true },
			"open": func(j *load.Job) { j.Phase.Model, j.Phase.Rate = load.Open, 300 },
		} {
			lookups(t, server, spec, w, name, change)
		}
	}
	pings(t, server, spec)
	t.Run("ended", func(t *testing.T) { ended(t, server, w) })
	t.Run("refused", func(t *testing.T) { refused(t, spec) })
}

// travels sees a specification go to an agent, and its password nowhere else.
func travels(t *testing.T, spec driver.Spec) {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	again, err := driver.ParseSpec(raw)
	if err != nil || again != spec {
		t.Fatalf("%v, %v", again, err)
	}
	if text := fmt.Sprintf("%v %+v %#v", spec, spec, spec); strings.Contains(text, spec.Password) {
		t.Errorf("the password is in %s", text)
	}
}

// lookups asks in one way.
func lookups(t *testing.T, server *database.Server, spec driver.Spec, w *dataset.Workload, name string, change func(*load.Job)) {
	t.Helper()
	before := counters(t, server)
	sum := phase(t, driver.NewLookups(spec, w), change)
	b := sum.Books
	if b.OK == 0 || b.OK != b.Sent || b.Planned != b.Sent+b.Dropped || sum.Hits == 0 || sum.Misses == 0 || sum.Hits+sum.Misses != b.OK || sum.Checked != b.OK {
		t.Errorf("%s: %+v, %d hits, %d misses, %d checked, %v", name, b, sum.Hits, sum.Misses, sum.Checked, sum.Outcomes)
	}
	if name == "kept" && sum.Opened != 4 || name != "kept" && name != "open" && sum.Opened != b.OK {
		t.Errorf("%s: %d connections were opened for %d requests", name, sum.Opened, b.OK)
	}
	t.Logf("%s, prepared %v: %v of the agent's processor time for an answer", name, spec.Prepared, sum.CPU/time.Duration(max(b.OK, 1)))
	executed, prepared := int64(0), int64(0)
	if spec.Prepared {
		executed, prepared = b.OK, sum.Opened
	}
	d := counters(t, server).Sub(before)
	if d.Reads != b.OK || d.Others["stmt_execute"] != executed || d.Others["stmt_prepare"] != prepared || d.Others["select"] != b.OK {
		t.Errorf("%s, prepared %v: the database counted %d reads and %v for %d answers", name, spec.Prepared, d.Reads, d.Others, b.OK)
	}
}

func counters(t *testing.T, server *database.Server) database.Counters {
	t.Helper()
	c, err := server.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pings read no table.
func pings(t *testing.T, server *database.Server, spec driver.Spec) {
	t.Helper()
	before := counters(t, server)
	sum := phase(t, driver.NewPings(spec), nil)
	if d := counters(t, server).Sub(before); sum.Books.OK == 0 || sum.Books.OK != sum.Books.Planned || d.Reads != 0 || d.Others["stmt_prepare"] != 0 {
		t.Errorf("pings: %+v, %d reads, %v", sum.Books, d.Reads, d.Others)
	}
}

// ended ends all sessions, and the account with them, in the middle of a phase: every request is in the books all the same.
func ended(t *testing.T, server *database.Server, w *dataset.Workload) {
	own, err := server.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(400*time.Millisecond, func() { _ = server.Retire(t.Context(), own) })
	sum := phase(t, driver.NewLookups(specOf(own.Access), w), func(j *load.Job) { j.Phase.Duration = 800 * time.Millisecond })
	if b := sum.Books; b.OK == 0 || b.Error == 0 || b.Timeout > 0 || b.Sent != b.OK+b.Bad+b.Error || b.Planned != b.Sent {
		t.Errorf("%+v, %v", b, sum.Outcomes)
	}
}

// refused asks under a wrong password: no request is sent.
func refused(t *testing.T, spec driver.Spec) {
	spec.Password = "not-that-one"
	sum := phase(t, driver.NewPings(spec), func(j *load.Job) { j.Phase.Duration = 100 * time.Millisecond })
	if b := sum.Books; b.OK > 0 || b.Error == 0 || b.Error != b.Sent || sum.Unwritten != b.Error {
		t.Errorf("%+v, %d unwritten", b, sum.Unwritten)
	}
	if _, err := driver.Ask(t.Context(), spec, []string{"a"}); err == nil || strings.Contains(err.Error(), spec.Password) {
		t.Errorf("%v", err)
	}
}

// Ask returns the ids of rows, and 0 where there is none.
func TestAsk(t *testing.T) {
	server, data := filled(t)
	spec := specOf(server.Access())
	for _, spec.Prepared = range []bool{false, true} {
		ids, err := driver.Ask(t.Context(), spec, []string{data.Name(1), "nobody0", data.Name(rows)})
		if err != nil || len(ids) != 3 || ids[0] == 0 || ids[1] != 0 || ids[2] == 0 {
			t.Errorf("prepared %v: %v, %v", spec.Prepared, ids, err)
		}
	}
}

// The engine on epoll makes its own connections, and refuses a workload that does.
func TestOnlyTheOtherEngine(t *testing.T) {
	engine := load.NewRaw(1)
	if engine == nil {
		t.Skip("SKIPPED: it needs Linux")
	}
	err := engine.Run(t.Context(), load.Job{URLs: []string{driver.Base}, Workload: driver.NewPings(driver.Spec{}), Start: time.Now(), Share: load.Share{Of: 1}, Phase: load.Phase{
		Model: load.Closed, Connections: 1, Duration: time.Millisecond, Timeout: time.Second,
	}}, func(stats.Window) {})
	if err == nil || !strings.Contains(err.Error(), "the workload has its own") {
		t.Errorf("%v", err)
	}
}
