package contract

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"bakeoff/internal/dataset"
	"bakeoff/internal/show"
)

// atOnce is the number of requests in flight in the check that sends several together.
const atOnce = 8

// lookup is one key with its right answer.
type lookup struct {
	class string // the check it belongs to
	key   string
	id    int64 // lowest id of a row of that name; 0: there is none
}

func (l lookup) exists() bool { return l.id != 0 }

// demo asks one endpoint for path, counts the request, and examines what
// every answer of /demo must have.
func (s *inspection) demo(ctx context.Context, at Endpoint, path string) answer {
	s.asked.Add(1)
	a := s.request(ctx, http.MethodGet, at, path)
	if a.err == nil && a.status == http.StatusOK {
		s.served.Add(1)
		s.findings.enter("content type", at, wrongType(a))
	}
	return a
}

// ask asks for a generated key and enters whether the answer was right.
func (s *inspection) ask(ctx context.Context, at Endpoint, l lookup) {
	a := s.demo(ctx, at, demoPath(l.key))
	problem := judge(a, l)
	if problem == "" {
		s.learn(len(a.body), l)
	}
	s.findings.enter(l.class, at, problem)
}

// learn notes the constant part of a right answer's length.
func (s *inspection) learn(length int, l lookup) {
	which := 0
	if l.exists() {
		which = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lengths[which][dataset.Overhead(int64(length), l.key, l.id)]++
}

// judge says what is wrong with an answer: what was asked, expected and got; or "".
func judge(a answer, l lookup) string {
	if right(a, l) {
		return ""
	}
	if errors.Is(a.err, errGivenUp) || errors.Is(a.err, errTooLong) {
		return a.err.Error()
	}
	return fmt.Sprintf("asked for %s, expected %s, got %s", show.Excerpt(l.key, 60), expectation(l), a)
}

func right(a answer, l lookup) bool {
	if a.err != nil || a.status != http.StatusOK {
		return false
	}
	got, why := parse(a.body)
	return why == "" && got.Name == l.key && got.Exists == l.exists() && got.ID == l.id
}

// parse decodes a body; why says why it is none of the contract.
func parse(body []byte) (got dataset.Answer, why string) {
	if !utf8.Valid(body) {
		return got, "not UTF-8"
	}
	return dataset.ParseAnswer(body)
}

func expectation(l lookup) string {
	if l.exists() {
		return fmt.Sprintf("exists true, id %d", l.id)
	}
	return "exists false, id null"
}

// checkLookups asks for generated keys of all classes: one of each class on every
// replica, all of them spread over the replicas, all of them through the balancer.
func (s *inspection) checkLookups(ctx context.Context) error {
	all := s.chooseKeys()
	core := firstOfClass(all)
	return s.exactly(ctx, "lookups", func() {
		s.sideBySide(func(n int, at Endpoint) {
			asked := all
			if replica := n < len(s.replicas); replica && !s.Full {
				asked = append(everyNth(all, n, len(s.replicas)), core...)
			}
			for _, l := range asked {
				s.ask(ctx, at, l)
			}
		})
	})
}

// everyNth are those whose place is n, counted by that many.
func everyNth(all []lookup, n, by int) (out []lookup) {
	for i := n; i < len(all); i += by {
		out = append(out, all[i])
	}
	return out
}

// everywhere asks every endpoint for a key.
func (s *inspection) everywhere(ctx context.Context, l lookup) {
	s.sideBySide(func(_ int, at Endpoint) { s.ask(ctx, at, l) })
}

// sideBySide asks the endpoints at the same time, each its own requests one after another: as many at once as the target is deployed
// for, at most.
func (s *inspection) sideBySide(ask func(n int, at Endpoint)) {
	var group errgroup.Group
	if s.InFlight > 0 {
		group.SetLimit(s.InFlight)
	}
	for n, at := range s.all {
		group.Go(func() error {
			ask(n, at)
			return nil
		})
	}
	_ = group.Wait()
}

func firstOfClass(all []lookup) []lookup {
	var out []lookup
	seen := map[string]bool{}
	for _, l := range all {
		if !seen[l.class] {
			seen[l.class] = true
			out = append(out, l)
		}
	}
	return out
}

// checkRepeated asks twice in a row for the same keys, on each replica and on
// all of them: each request must read, whatever was answered before.
func (s *inspection) checkRepeated(ctx context.Context) error {
	present, absent := s.present("repeated"), s.absent("repeated")
	return s.exactly(ctx, "repeated", func() {
		for range 2 {
			s.sideBySide(func(_ int, at Endpoint) {
				s.ask(ctx, at, present)
				s.ask(ctx, at, present)
				s.ask(ctx, at, absent)
			})
		}
	})
}

// checkTogether sends several requests at once to each replica, for different
// keys and for one key: each must read, none may be answered by another's statement.
func (s *inspection) checkTogether(ctx context.Context) error {
	rounds, flying := 1, atOnce
	if s.Full {
		rounds = 4
	}
	if s.InFlight > 0 {
		flying = min(flying, s.InFlight)
	}
	same := s.present("together")
	return s.exactly(ctx, "together", func() {
		for range rounds {
			for _, at := range s.replicas {
				var different []lookup
				for len(different) < flying {
					different = append(different, s.present("together"), s.absent("together"))
				}
				s.together(ctx, at, different[:flying])
				s.together(ctx, at, slices.Repeat([]lookup{same}, flying))
			}
		}
	})
}

func (s *inspection) together(ctx context.Context, at Endpoint, lookups []lookup) {
	var wg sync.WaitGroup
	for _, l := range lookups {
		wg.Go(func() { s.ask(ctx, at, l) })
	}
	wg.Wait()
}

// checkDrawn asks without a name: the target draws a key, each time another one of another length.
func (s *inspection) checkDrawn(ctx context.Context) error {
	times := 3
	if s.Full || s.Lookups == dataset.Server {
		times = 20
	}
	seen, lengths, drawn := map[string]bool{}, map[int]bool{}, 0
	return s.exactly(ctx, "drawn", func() {
		for i := range times * len(s.all) {
			at := s.all[i%len(s.all)]
			name, problem := s.judgeDrawn(s.demo(ctx, at, "/demo"))
			if problem == "" {
				drawn++
				lengths[len(name)] = true
				problem = monotony(name, seen, drawn, len(lengths))
				seen[name] = true
			}
			s.findings.enter("drawn by the target", at, problem)
		}
	})
}

// monotony says why keys drawn so far are not random: one of more than three
// characters came again, or six had all the same length.
func monotony(name string, seen map[string]bool, drawn, lengths int) string {
	switch {
	case seen[name] && len(name) > 3:
		return fmt.Sprintf("asked without a name, expected another key each time, got %s again", show.Excerpt(name, 60))
	case drawn >= 6 && lengths == 1:
		return fmt.Sprintf("asked without a name, expected keys of random length, got %d of %d characters", drawn, len(name))
	}
	return ""
}

func (s *inspection) judgeDrawn(a answer) (name, problem string) {
	const asked = "asked without a name, expected "
	if a.err != nil || a.status != http.StatusOK {
		return "", asked + "an answer that carries the key drawn, got " + a.String()
	}
	got, why := parse(a.body)
	if why != "" {
		return "", asked + "an answer that carries the key drawn, got " + a.String()
	}
	if !dataset.Plain(got.Name) {
		return "", asked + "a key of 1 to 255 letters and digits, got " + a.String()
	}
	l := lookup{key: got.Name}
	l.id, _ = s.Dataset.Lookup(got.Name)
	if !right(a, l) {
		return "", fmt.Sprintf("asked without a name, expected %s for %s, got %s", expectation(l), show.Excerpt(l.key, 60), a)
	}
	return got.Name, ""
}

// checkLengths enters whether bodies differ in nothing but key and id.
func (s *inspection) checkLengths(context.Context) error {
	for which, what := range []string{"absent", "present"} {
		problem := ""
		if len(s.lengths[which]) > 1 {
			problem = fmt.Sprintf("bodies for %s keys must be longer than key and id by the same number of bytes, got (bytes: times) %v", what, s.lengths[which])
		}
		s.findings.enter("length", Endpoint{}, problem)
	}
	return nil
}

// chooseKeys draws the generated keys of a check.
func (s *inspection) chooseKeys() []lookup {
	presents, absents := 5, 3
	if s.Full {
		presents, absents = 50, 50
	}
	var out []lookup
	for range presents {
		out = append(out, s.present("present"))
	}
	for range absents {
		out = append(out, s.absent("absent"))
	}
	short, long := s.extremes()
	out = append(out, short, long, s.swapped(), s.swapped())
	if l, found := s.shared(); found {
		out = append(out, l)
	}
	return out
}

func (s *inspection) row() int64 { return 1 + s.random.Int64N(s.Dataset.Rows()) }

func (s *inspection) present(class string) lookup {
	row := s.row()
	return lookup{class, s.Dataset.Name(row), s.Dataset.First(row)}
}

func (s *inspection) absent(class string) lookup {
	key := s.keys.AppendMiss(nil, s.random.Uint64(), s.random.Uint64())
	return lookup{class, string(key), 0}
}

// scan visits up to limit rows, from a random one on.
func (s *inspection) scan(limit int64, visit func(row int64) (more bool)) {
	first := s.row()
	for i := range min(limit, s.Dataset.Rows()) {
		if !visit(1 + (first-1+i)%s.Dataset.Rows()) {
			return
		}
	}
}

// extremes are the shortest and the longest name of some thousand rows.
func (s *inspection) extremes() (short, long lookup) {
	least, most := math.MaxInt, 0
	s.scan(5000, func(row int64) bool {
		name := s.Dataset.Name(row)
		if len(name) < least {
			least, short = len(name), lookup{"shortest", name, s.Dataset.First(row)}
		}
		if len(name) > most {
			most, long = len(name), lookup{"longest", name, s.Dataset.First(row)}
		}
		return true
	})
	return short, long
}

// swapped is the name of a row with every letter in its other case.
func (s *inspection) swapped() lookup {
	l := s.present("other case")
	s.scan(1000, func(row int64) bool {
		name := s.Dataset.Name(row)
		l = lookup{"other case", swapCase(name), s.Dataset.First(row)}
		return l.key == name
	})
	return l
}

func swapCase(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r ^ 0x20
		}
		return r
	}, name)
}

// shared is a name that several rows have, as the dataset of any length but the longest holds.
func (s *inspection) shared() (l lookup, found bool) {
	s.scan(200_000, func(row int64) bool {
		if first := s.Dataset.First(row); first != row {
			l, found = lookup{"several rows", s.Dataset.Name(row), first}, true
		}
		return !found
	})
	return l, found
}
