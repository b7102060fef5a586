package contract

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/record"
)

// Endpoint is one place that answers for a target: a replica, or the balancer.
type Endpoint struct {
	Name  string // of the replica, such as "django-1"; empty for the balancer
	URL   string // base, such as http://127.0.0.1:8080
	Nonce string // what GET /ping must answer
	Says  string // what a right answer says in stats.ReplicaHeader of who gave it; empty: that is not looked at
}

// A Fixture is the database as the contract check needs it. What the
// fixture's own statements do is not in its counts. *database.Server is one.
type Fixture interface {
	// Lookup answers as a target must, by the server's own collation.
	Lookup(ctx context.Context, name string) (id int64, exists bool, err error)
	// Insert adds a row and returns its id; Delete removes it.
	Insert(ctx context.Context, name string) (id int64, err error)
	Delete(ctx context.Context, id int64) error
	// Counters are what the server has counted so far.
	Counters(ctx context.Context) (database.Counters, error)
	// Explain names the index by which a name is looked up; empty for none.
	Explain(ctx context.Context, name string) (index string, err error)
}

// Contract is what every target must keep, and what it is checked against.
// Checks of one database take turns: statements of anybody else are counted too.
type Contract struct {
	Dataset   *dataset.Dataset
	Database  Fixture
	Lookups   string        // dataset.Client or dataset.Server: who draws the keys under load
	Seed      uint64        // of the choice of keys
	Protocol  string        // as declared: "text" or "prepared"; empty: any
	KeepAlive time.Duration // as declared: how long an idle connection stays open, at least; 0: not known
	Long      bool          // a full check waits for the whole of KeepAlive, not 5 s at most
	InFlight  int           // greatest number of requests in flight the target is deployed for; 0: any
	Full      bool          // every key on every replica and through the balancer; takes seconds
	Secrets   []string      // never to appear in a detail
	Dial      string        // host:port that connections to the balancer are made to; empty: where its URL says

	Connections Connections // of the requests under load: those of the check are like them
}

// Result is what a check found.
type Result struct {
	Checks []record.Check
	// LengthPresent and LengthAbsent are the bytes of a body in addition to the key
	// and the digits of the id, of a key that exists and of one that does
	// not; -1 where they are not constant or no right answer was seen.
	LengthPresent int
	LengthAbsent  int
	// Cookies are the names of those that are set through the balancer, and by no replica that is asked directly.
	Cookies []string
	// Others are the statements per request that read no rows of the table, by kind.
	Others map[string]float64
}

// Failed are the checks that failed.
func (r Result) Failed() []record.Check {
	var out []record.Check
	for _, c := range r.Checks {
		if !c.OK {
			out = append(out, c)
		}
	}
	return out
}

// Reasons are why a trial of this target is invalid: none, or one.
func (r Result) Reasons() []record.Reason {
	failed := r.Failed()
	if len(failed) == 0 {
		return nil
	}
	first, where := failed[0], ""
	if first.Replica != "" {
		where = " at " + first.Replica
	}
	text := fmt.Sprintf("%d of %d checks failed %s the load, the first is %q%s: %s", len(failed), len(r.Checks), first.When, first.Name, where, first.Detail)
	return []record.Reason{{Code: record.CodeContract, Text: text}}
}

// Check asks the replicas of one target directly, and all of them through the
// balancer (its base URL; empty where there is none). when is "before" or
// "after" the load. Nothing else may use the target or the table during that time.
//
// A target that fails is no error; an error means that the check itself could not be made.
func (c *Contract) Check(ctx context.Context, when string, replicas []Endpoint, balancer string) (Result, error) {
	if len(replicas) == 0 {
		return Result{}, errors.New("contract: no replicas to check")
	}
	s, err := newInspection(c, when, replicas, balancer)
	if err != nil {
		return Result{}, err
	}
	defer s.asker.close()
	defer func() { s.idle.Close() }()
	for _, p := range parts() {
		err := p.run(s, ctx)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return Result{}, fmt.Errorf("contract: check: %s: %w", p.name, err)
		}
	}
	return s.result(), nil
}

// part is a stretch of a check between two idle points.
type part struct {
	name string
	run  func(*inspection, context.Context) error
}

// parts are all of a check, in order.
func parts() []part {
	return []part{
		{"keep-alive", (*inspection).openIdle},
		{"first idle point", (*inspection).settle},
		{"index", (*inspection).checkIndex},
		{"ping", (*inspection).checkPing},
		{"lookups", (*inspection).checkLookups},
		{"repeated", (*inspection).checkRepeated},
		{"together", (*inspection).checkTogether},
		{"drawn", (*inspection).checkDrawn},
		{"hostile", (*inspection).checkHostile},
		{"limits", (*inspection).checkLimits},
		{"fresh row", (*inspection).checkFresh},
		{"methods", (*inspection).checkMethods},
		{"date", (*inspection).checkDates},
		{"length", (*inspection).checkLengths},
		{"protocol", (*inspection).checkProtocol},
		{"keep-alive", (*inspection).checkKeepAlive},
	}
}

// inspection is one check under way.
type inspection struct {
	*Contract
	when     string
	replicas []Endpoint
	all      []Endpoint // the replicas, then the balancer if there is one
	asker    *asker
	random   *rand.Rand
	keys     *dataset.Keys

	findings findings
	mu       sync.Mutex     // guards lengths, dates and cookies
	lengths  [2]map[int]int // absent, present: constant part of a body's length to how often seen
	dates    map[string]*dateSpan
	cookies  [2]map[string]bool // by replicas, through the balancer
	last     database.Counters  // at the last idle point
	asked    atomic.Int64       // requests for /demo so far
	served   atomic.Int64       // those answered 200
	others   map[string]int64   // statements that are no reads, in the steps of exact counts
	per      int64              // requests in those steps
	reads    int64              // row-reading statements in those steps
	idle     *IdleConnections   // nil: not looked at
}

// most is how long requests are sent: a target so slow fails.
func (c *Contract) most() time.Duration {
	if c.Full {
		return 5 * time.Minute
	}
	return time.Minute
}

func newInspection(c *Contract, when string, replicas []Endpoint, balancer string) (*inspection, error) {
	keys, err := dataset.NewKeys(c.Dataset, c.Seed, 0)
	if err != nil {
		return nil, fmt.Errorf("contract: check: %w", err)
	}
	hide := hider(c.Secrets)
	h := fnv.New64a()
	h.Write([]byte(when))
	s := &inspection{
		Contract: c,
		when:     when,
		replicas: replicas,
		all:      replicas[:len(replicas):len(replicas)],
		asker:    newAsker(hide, c.most(), c.Connections),
		keys:     keys,
		random:   rand.New(rand.NewPCG(c.Seed, h.Sum64())),
		lengths:  [2]map[int]int{{}, {}},
		dates:    map[string]*dateSpan{},
		cookies:  [2]map[string]bool{{}, {}},
		others:   map[string]int64{},
	}
	if balancer != "" {
		s.all = append(s.all, Endpoint{URL: balancer})
		s.asker.dial(balancer, c.Dial)
	}
	s.findings = findings{when: when, hide: hide, endpoints: s.all}
	return s, nil
}

func (s *inspection) result() Result {
	r := Result{LengthAbsent: s.length(0), LengthPresent: s.length(1), Others: map[string]float64{}}
	for kind, n := range s.others {
		if s.per > 0 && n > 0 {
			r.Others[kind] = float64(n) / float64(s.per)
		}
	}
	r.Cookies = s.balancerCookies()
	s.findings.remark("statements", Endpoint{}, perRequest(r.Others))
	r.Checks = s.findings.checks()
	return r
}

// length is the constant of absent (0) or present (1) keys, or -1.
func (s *inspection) length(which int) int {
	seen := slices.Collect(maps.Keys(s.lengths[which]))
	if len(seen) != 1 {
		return -1
	}
	return seen[0]
}
