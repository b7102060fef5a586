package machine

import (
	"slices"
	"testing"

	"bakeoff/internal/plan"
	"bakeoff/internal/record"
	"bakeoff/internal/venue"
)

// Replicas are started in the order that was drawn, and in that of their numbers where none was.
func TestOrderOfReplicas(t *testing.T) {
	d := venue.Deployment{Deployment: plan.Deployment{Replicas: 3}}
	if got := order(d); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("%v without luck", got)
	}
	d.Luck = record.Luck{Order: []int{3, 1, 2}}
	if got := order(d); !slices.Equal(got, []int{3, 1, 2}) {
		t.Errorf("%v, want 3, 1, 2", got)
	}
}
