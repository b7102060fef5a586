package dataset

import (
	"fmt"
	"regexp"
	"testing"
)

// A client that compares texts finds right what Check finds right, and wrong what it finds wrong.
func TestPatternsAgreeWithCheck(t *testing.T) {
	for _, lookups := range []string{Client, Server} {
		rows, err := New(Spec{Rows: 2000, Seed: 1, MinLength: 1, MaxLength: 255})
		if err != nil {
			t.Fatal(err)
		}
		w, err := rows.Workload(WorkloadSpec{
			Dataset: rows.Spec(), Seed: 3, HitRatio: 0.5, Lookups: lookups, LengthPresent: -1, LengthAbsent: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		for n := range uint64(200) {
			key, hit, id := w.keys.AppendKey(nil, 1, n)
			right := fmt.Sprintf(`{"name": "%s", "exists": %v, "id": %s}`, key, hit, idText(hit, id))
			wrong := fmt.Sprintf(`{"exists":%v,"id":%s,"name":"%s"}`, !hit, idText(!hit, id+1), key)
			if why := w.judgeText(t, n, right); why != "" || w.Check(1, n, 200, []byte(right)) != "" {
				t.Errorf("%s, %d: the right answer is %q by its captures", lookups, n, why)
			}
			if why := w.judgeText(t, n, wrong); why == "" || w.Check(1, n, 200, []byte(wrong)) == "" {
				t.Errorf("%s, %d: a wrong answer is right by its captures", lookups, n)
			}
			for _, exists := range []string{"", fmt.Sprint(!hit)} { // left out, or at odds with the id
				if why := w.Judge(1, n, []string{string(key), idText(hit, id), exists}); why != "wrong exists" {
					t.Errorf("%s, %d: exists %q is %q by its captures", lookups, n, exists, why)
				}
			}
			if !w.matches(t, n, right) {
				t.Errorf("%s, %d: the right answer matches not every pattern", lookups, n)
			}
			if lookups == Client && w.matches(t, n, wrong) {
				t.Errorf("%s, %d: a wrong answer matches every pattern", lookups, n)
			}
		}
	}
}

func idText(hit bool, id int64) string {
	if !hit {
		return "null"
	}
	return fmt.Sprint(id)
}

func (w *Workload) judgeText(t *testing.T, n uint64, body string) string {
	t.Helper()
	var got []string
	for _, c := range w.Captures() {
		found := regexp.MustCompile(c[1]).FindStringSubmatch(body)
		if found == nil {
			t.Fatalf("%s finds nothing in %s", c[1], body)
		}
		got = append(got, found[1])
	}
	return w.Judge(1, n, got)
}

func (w *Workload) matches(t *testing.T, n uint64, body string) bool {
	t.Helper()
	for _, p := range w.Patterns(1, n) {
		if !regexp.MustCompile(p).MatchString(body) {
			return false
		}
	}
	return true
}
