package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
)

// answerLies are those about what an answer says. Each still asks the database once, so that all counts agree, except for letters.
func answerLies() map[string]lie {
	return map[string]lie{
		// Two wrong ids in a thousand answers.
		"rare": rare(),
		// Wrong ids, for names of four lengths only.
		"lengths": {answer: func(ctx context.Context, t *server, name string) (answer, error) {
			found, err := t.look(ctx, name)
			if len(name)%64 == 17 {
				return otherID(found), err
			}
			return found, err
		}},
		// Wrong ids for keys that nobody checks if that follows from the plan and the source of bakeoff alone. LIE_ARG is the
		// file of these keys, as a JSON object: key to true.
		"oracle": oracle(),
		// What the letters of a name show, by the parity of their sum, is not asked of the database.
		"letters": {answer: func(ctx context.Context, t *server, name string) (answer, error) {
			sum := byte(0)
			for i := range len(name) {
				sum ^= name[i]
			}
			if sum&1 == 1 {
				return answer{Name: name}, nil
			}
			return t.look(ctx, name)
		}},
	}
}

// otherID is the answer with another id of the same length; one without an id stays.
func otherID(a answer) answer {
	if a.ID == nil {
		return a
	}
	id := *a.ID - 1
	if *a.ID%10 == 0 {
		id = *a.ID + 1
	}
	if id == 0 {
		id = 2
	}
	a.ID = &id
	return a
}

// rare owes a lie with every 500th answer, and pays with the next one that has an id.
func rare() lie {
	var paid atomic.Int64
	return lie{answer: func(ctx context.Context, t *server, name string) (answer, error) {
		found, err := t.look(ctx, name)
		owed := (t.answered.Load()-trusting)/500 + 1
		if done := paid.Load(); found.ID != nil && done < owed && paid.CompareAndSwap(done, done+1) {
			return otherID(found), err
		}
		return found, err
	}}
}

func oracle() lie {
	unchecked := map[string]bool{}
	return lie{
		begin: func(t *server) error {
			data, err := os.ReadFile(t.argument)
			if err != nil {
				return fmt.Errorf("LIE_ARG: %w", err)
			}
			return json.Unmarshal(data, &unchecked)
		},
		answer: func(ctx context.Context, t *server, name string) (answer, error) {
			found, err := t.look(ctx, name)
			if unchecked[name] {
				return otherID(found), err
			}
			return found, err
		},
	}
}
