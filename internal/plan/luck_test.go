package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"bakeoff/internal/plan"
)

// What is left to chance is the same for the same seed and another for another block, target, attempt and seed; every order and all
// of a page of padding come about equally often.
func TestLuck(t *testing.T) {
	load := func(seed int) *plan.Plan {
		p, err := plan.Load("p.yaml", fmt.Appendf(nil, "name: demo\nseed: %d\ntargets: [flask, fastapi]\ndeployment: {replicas: 3}\n"+
			"phases: [{name: closed, model: closed, connections: 32, duration: 4s}]\n", seed))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := load(1)
	type drawn struct {
		padding int
		order   string
	}
	swapped := map[bool]int{}
	draw := func(p *plan.Plan, block int, target string, attempt int) drawn {
		padding, order, agents := p.Luck(plan.Trial{Block: block, Target: target}, attempt)
		if !slices.Equal(slices.Sorted(slices.Values(agents)), []int{1, 2}) {
			t.Fatalf("agents %v", agents)
		}
		swapped[agents[0] == 2]++
		if padding < 0 || padding >= 4096 || !slices.Equal(slices.Sorted(slices.Values(order)), []int{1, 2, 3}) {
			t.Fatalf("padding %d, order %v", padding, order)
		}
		return drawn{padding, fmt.Sprint(order)}
	}
	first := draw(p, 1, "flask", 1)
	if again := draw(load(1), 1, "flask", 1); again != first {
		t.Errorf("%v, and again %v", first, again)
	}
	for what, other := range map[string]drawn{
		"block": draw(p, 2, "flask", 1), "target": draw(p, 1, "fastapi", 1), "attempt": draw(p, 1, "flask", 2), "seed": draw(load(2), 1, "flask", 1),
	} {
		if other == first {
			t.Errorf("another %s has the same luck: %v", what, other)
		}
	}
	clear(swapped)
	orders, quarters := map[string]int{}, [4]int{}
	const trials = 3000
	for block := range trials {
		d := draw(p, block, "flask", 1)
		orders[d.order]++
		quarters[d.padding/1024]++
	}
	for order, n := range orders {
		if len(orders) != 6 || n < trials/6-100 || n > trials/6+100 { // five standard deviations
			t.Errorf("order %s: %d of %d", order, n, trials)
		}
	}
	if n := swapped[true]; n < trials/2-140 || n > trials/2+140 {
		t.Errorf("the second agent goes first in %d of %d", n, trials)
	}
	if slices.Min(quarters[:]) < trials/4-120 {
		t.Errorf("padding by quarters of a page: %v", quarters)
	}
}
