package load

import (
	"strings"
	"testing"
)

// FuzzFraming holds the strict parser against net/http's: whatever it takes
// for an answer, net/http takes for the same answer; and it makes no
// difference in which pieces the bytes come, or whether they came before.
func FuzzFraming(f *testing.F) {
	for _, c := range framings {
		if len(c.text) < 5000 {
			text, head := strings.CutPrefix(c.text, "HEAD ")
			f.Add(text, head, uint8(len(text)))
		}
	}
	f.Fuzz(func(t *testing.T, text string, head bool, piece uint8) {
		whole := byParser(text, head, len(text)+1)
		if parts := byParser(text, head, int(piece)+1); parts.String() != whole.String() {
			t.Fatalf("%q in pieces of %d: %v, in one: %v", text, int(piece)+1, parts, whole)
		}
		m := new(memo)
		for range 2 {
			if again := byMemo(m, text, head, len(text)+1); again != whole {
				t.Fatalf("%q with what was remembered: %v, without: %v", text, again, whole)
			}
		}
		if whole.class != "" {
			return
		}
		whole.replica = ""
		if other := byHTTP(text, head); other != whole {
			t.Fatalf("%q: raw says %v, net/http says %v", text, whole, other)
		}
	})
}
