package gate

import (
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

// heldPhase is a second phase whose database samples, a second apart, show that many connections of the
// targets, and that many opened by everybody so far.
func heldPhase(d record.Declared, held, opened []int) *Phase {
	p := NewPhase(record.Phase{Number: 1, Name: "closed", DurationS: 4})
	p.Declare(&d)
	for i := range held {
		p.Series(record.Series{
			Phase: 1, Tier: "database", At: time.Unix(int64(i), 0),
			Values: map[string]float64{record.TargetConnections: float64(held[i]), "connections": float64(opened[i])},
		})
	}
	return p
}

// The target's own connections count where they are known, and those of all targets that are up where not.
func TestOwnConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own, all float64
		want     string
	}{
		"too many, within all":   {17, 20, "database connections: 17 were open, 16 are declared (replicas x workers x pool)"},
		"its own, others' extra": {16, 60, ""},
		"none":                   {0, 60, ""},
	} {
		p := NewPhase(record.Phase{Number: 1, Name: "closed", DurationS: 4})
		p.Declare(&record.Declared{Connections: 16, Together: 48, Protocol: "text"})
		for i := range 3 {
			p.Series(record.Series{Phase: 1, Tier: "database", At: time.Unix(int64(i), 0), Values: map[string]float64{
				record.OwnConnections: c.own, record.TargetConnections: c.all, "connections": 100,
			}})
		}
		text := ""
		for _, reason := range p.otherwise(stats.Totals{}) {
			text += reason.Text
		}
		if text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

// TestDeclared shows each way of doing otherwise than declared, and what is no lie.
func TestDeclared(t *testing.T) {
	t.Parallel()
	still := []int{100, 100, 100, 100}
	lines := func(n int64) *int64 { return &n }
	text := record.Declared{Connections: 16, Together: 16, Protocol: "text"}
	for _, c := range []struct {
		name    string
		d       record.Declared
		held    []int
		opened  []int
		witness record.Witness
		warmup  bool
		want    []string
	}{
		{"all as declared", text, []int{16, 16, 16, 16}, still, record.Witness{DatabaseReads: 1000, LogLines: lines(5)}, false, nil},
		{"one connection too many", text, []int{16, 17, 17, 16}, still, record.Witness{}, false, []string{"database connections: 17 were open, 16 are declared"}},
		{"twice the pool", text, []int{32, 32, 32, 32}, still, record.Witness{}, false, []string{"database connections: 32 were open"}},
		{"too many for a moment", text, []int{16, 30, 16, 30}, still, record.Witness{}, false, nil},
		{"some that are just closing", text, []int{20, 20, 24, 20}, []int{100, 900, 1700, 2500}, record.Witness{}, false, nil},
		{"twice the pool, and reconnecting", text, []int{32, 32, 32, 32}, []int{100, 900, 1700, 2500}, record.Witness{}, false, []string{"database connections: 32 were open"}},
		{"too many in the warm-up", text, []int{32, 32, 32, 32}, still, record.Witness{}, true, nil},
		{"others are up too", record.Declared{Connections: 16, Together: 48, Protocol: "text"}, []int{48, 48, 48, 48}, still, record.Witness{}, false, nil},
		{"prepared, declared as text", text, nil, nil, record.Witness{DatabaseReads: 1000, DatabaseOthers: map[string]int64{"stmt_execute": 1}}, false, []string{"protocol: text is declared, but 1 prepared"}},
		{"prepared in SQL, declared as text", text, nil, nil, record.Witness{DatabaseReads: 1000, DatabaseOthers: map[string]int64{"execute_sql": 1000, "stmt_execute": 1000}}, false, []string{"protocol: text is declared, but 1000 prepared"}},
		{"at once in SQL, declared as text", text, nil, nil, record.Witness{DatabaseReads: 1000, DatabaseOthers: map[string]int64{"execute_immediate": 1}}, false, []string{"protocol: text is declared, but 1 prepared"}},
		{"prepared in SQL, declared as prepared", record.Declared{Protocol: "prepared"}, nil, nil, record.Witness{DatabaseReads: 1000, DatabaseOthers: map[string]int64{"execute_sql": 1000, "stmt_execute": 1000}}, false, []string{"protocol: prepared is declared, but 0 of 1000 reads"}},
		{"text, declared as prepared", record.Declared{Protocol: "prepared"}, nil, nil, record.Witness{DatabaseReads: 1000}, false, []string{"protocol: prepared is declared, but 0 of 1000 reads"}},
		{"prepared", record.Declared{Protocol: "prepared"}, nil, nil, record.Witness{DatabaseReads: 1000, DatabaseOthers: map[string]int64{"stmt_execute": 1000}}, false, nil},
		{"more than the reads", record.Declared{Protocol: "prepared"}, nil, nil, record.Witness{DatabaseReads: 1000, DatabaseOthers: map[string]int64{"stmt_execute": 2000}}, false, []string{"protocol: prepared"}},
		{"an access log", text, nil, nil, record.Witness{LogLines: lines(1000)}, false, []string{"access log: off is declared, but 1000 lines"}},
		{"an access log, declared", record.Declared{AccessLog: true}, nil, nil, record.Witness{LogLines: lines(1000)}, false, nil},
		{"warnings", text, nil, nil, record.Witness{LogLines: lines(10)}, false, nil},
		{"nobody counts lines", text, nil, nil, record.Witness{}, false, nil},
	} {
		p := heldPhase(c.d, c.held, c.opened)
		p.Witness, p.Warmup = c.witness, c.warmup
		var sum stats.Totals
		sum.Books = stats.Books{Sent: 1000, OK: 1000}
		got := p.otherwise(sum)
		same := len(got) == len(c.want)
		for i := range c.want {
			same = same && got[i].Code == record.CodeDeclared && strings.HasPrefix(got[i].Text, c.want[i])
		}
		if !same {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := NewPhase(record.Phase{Witness: record.Witness{LogLines: lines(9999)}}).otherwise(stats.Totals{}); got != nil {
		t.Errorf("nothing declared: %v", got)
	}
}
