package controller

import (
	"fmt"
	"testing"
)

// A block is priced both ways, whichever the plan asks for, but not in turns where these cannot be had.
func TestBlockBothWays(t *testing.T) {
	for lines, both := range map[string]bool{
		twoTargets: true, "turns: 250ms\n" + twoTargets: true, "targets: [flask]\n": false,
		fmt.Sprintf("database: {max_connections: %d}\n", 2*16+spareConnections) + twoTargets:   true,
		fmt.Sprintf("database: {max_connections: %d}\n", 2*16+spareConnections-1) + twoTargets: false,
	} {
		o := newWorld().options(t, "blocks: 1\n"+lines+closedOnly)
		asked := o.Plan.Turns
		turns, apart := o.BlockBothWays()
		if apart <= 0 || (turns > 0) != both || o.Plan.Turns != asked || o.noTurns != nil {
			t.Errorf("%q: %v in turns, %v apart; the plan has turns %v", lines, turns, apart, o.Plan.Turns)
		}
	}
}
