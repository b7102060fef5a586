package limit

import (
	"testing"
)

// idle is a reading in which nothing is used up: 4 cores, 100 answers per second, 4 requests at a time.
func idle() Reading {
	return Reading{
		Cores: 4, Host: 0.5, InFlight: 4, Rate: 100, Running: 1, Pool: 8, Alone: 0.01,
		Members: []Member{
			{Tier: Generator, Name: "agent 0", CPU: 0.1, Thread: 0.1},
			{Tier: Balancer, Name: "nginx", CPU: 0.2, Thread: 0.2},
			{Tier: Target, Name: "a-1", CPU: 0.9, Thread: 0.5},
			{Tier: Target, Name: "a-1/7", Part: true, CPU: 0.5, Thread: 0.5},
			{Tier: Target, Name: "a-1/8", Part: true, CPU: 0.4, Thread: 0.4},
			{Tier: Database, Name: "db", CPU: 0.5, Thread: Unknown},
		},
	}
}

// Each rule names its limit at its bound, and nothing just below it.
func TestBounds(t *testing.T) {
	of := func(r *Reading, name string) *Member {
		for i := range r.Members {
			if r.Members[i].Name == name {
				return &r.Members[i]
			}
		}
		panic(name)
	}
	type change func(r *Reading)
	for name, c := range map[string]struct {
		tier, what, member string
		holds, below       change
	}{
		"near the ceiling": {
			Generator, Ceiling, "",
			func(r *Reading) { r.Ceiling = 0.701; of(r, "a-1/8").Thread = 1 }, func(r *Reading) { r.Ceiling = 0.7 },
		},
		"quota, held": {
			Generator, Quota, "agent 0",
			func(r *Reading) { m := of(r, "agent 0"); m.Quota, m.Throttled = 1, 0.1 }, func(r *Reading) { m := of(r, "agent 0"); m.Quota, m.Throttled = 1, 0.099 },
		},
		"quota, used": {
			Database, Quota, "db",
			func(r *Reading) { m := of(r, "db"); m.Quota, m.Throttled = 0.58, 0.01 }, func(r *Reading) { m := of(r, "db"); m.Quota, m.Throttled = 0.58, 0.009 },
		},
		"quota, hardly used": {
			Database, Quota, "db",
			func(r *Reading) { m := of(r, "db"); m.Quota, m.Throttled = 0.58, 0.05 }, func(r *Reading) { m := of(r, "db"); m.Quota, m.Throttled = 0.6, 0.05 },
		},
		"a loop": {
			Generator, CPU, "agent 0",
			func(r *Reading) { of(r, "agent 0").Thread = 0.9 }, func(r *Reading) { of(r, "agent 0").Thread = 0.89 },
		},
		"nginx": {
			Balancer, CPU, "nginx",
			func(r *Reading) { of(r, "nginx").Thread = 0.9 }, func(r *Reading) { of(r, "nginx").Thread = 0.89 },
		},
		"one worker of two": {
			Target, CPU, "a-1/8",
			func(r *Reading) { of(r, "a-1/8").Thread = 0.95 }, func(r *Reading) { of(r, "a-1/8").Thread = 0.85 },
		},
		"a worker without a core": {
			Target, CPU, "a-1/7",
			func(r *Reading) { of(r, "a-1/7").Waited = 0.46 }, func(r *Reading) { of(r, "a-1/7").Waited = 0.44 },
		},
		"a process that is no worker": {
			Target, CPU, "a-1/no worker",
			func(r *Reading) {
				r.Members = append(r.Members, Member{Tier: Target, Name: "a-1/no worker", Part: true, Thread: 0.91})
			},
			func(r *Reading) {
				r.Members = append(r.Members, Member{Tier: Target, Name: "a-1/no worker", Part: true, Thread: 0.89})
			},
		},
		"the whole target": {
			Target, CPU, "",
			func(r *Reading) { of(r, "a-1").CPU = 3.41 }, func(r *Reading) { of(r, "a-1").CPU = 3.39 },
		},
		"the whole database": {
			Database, CPU, "",
			func(r *Reading) { of(r, "db").CPU = 3.41 }, func(r *Reading) { of(r, "db").CPU = 3.39 },
		},
		"the machine": {
			SharedMachine, CPU, "",
			func(r *Reading) { r.Host = 0.86; of(r, "a-1/7").Waited = 0.5 }, func(r *Reading) { r.Host = 0.85 },
		},
		"row locks": {
			Database, Locks, "",
			func(r *Reading) { r.Running, r.Locked = 4, 2 }, func(r *Reading) { r.Running, r.Locked = 4, 1.9 },
		},
		"row locks, elsewhere most": {
			Database, Locks, "",
			func(r *Reading) { r.Running, r.Locked, r.InFlight = 2, 1.9, 3.8 }, func(r *Reading) { r.Running, r.Locked, r.InFlight = 2, 1.9, 3.9 },
		},
		"disk": {
			Database, Disk, "",
			func(r *Reading) { r.Pressure, r.Reads = 0.5, 0.1 }, func(r *Reading) { r.Pressure, r.Reads = 0.49, 0.1 },
		},
		"disk of others": {
			Database, Disk, "",
			func(r *Reading) { r.Pressure, r.Reads = 0.9, 0.1 }, func(r *Reading) { r.Pressure, r.Reads = 0.9, 0.09 },
		},
		"queue": {
			Database, Queue, "",
			func(r *Reading) { r.Running, r.Alone = 4, 0.0079 }, func(r *Reading) { r.Running, r.Alone = 4, 0.0081 },
		},
		"queue, short": {
			Database, Queue, "",
			func(r *Reading) { r.Running, r.Alone, r.Pool = 2, 0.001, 0 }, func(r *Reading) { r.Running, r.Alone, r.Pool = 1.9, 0.001, 0 },
		},
		"queue, elsewhere most": {
			Database, Queue, "",
			func(r *Reading) { r.Running, r.Alone, r.InFlight = 4, 0.001, 8 }, func(r *Reading) { r.Running, r.Alone, r.InFlight = 4, 0.001, 8.1 },
		},
		"queue behind a full pool": {
			Database, Queue, "",
			func(r *Reading) { r.Running, r.Alone, r.Pool, r.InFlight = 4, 0.026, 4, 4.9 }, func(r *Reading) { r.Running, r.Alone, r.Pool, r.InFlight = 4, 0.027, 4, 4.9 },
		},
		"pool": {
			Pool, Connections, "",
			func(r *Reading) { r.Running, r.Pool, r.Alone, r.InFlight = 3.4, 4, 0.034, 5 }, func(r *Reading) { r.Running, r.Pool, r.Alone, r.InFlight = 3.39, 4, 0.034, 5 },
		},
		"pool, nobody waits": {
			Pool, Connections, "",
			func(r *Reading) { r.Running, r.Pool, r.Alone, r.InFlight = 4, 4, 0.04, 5 }, func(r *Reading) { r.Running, r.Pool, r.Alone, r.InFlight = 4, 4, 0.04, 4.9 },
		},
		"listen queue": {
			Target, Listen, "",
			func(r *Reading) { r.Dropped, r.Stalled = 0.01, 0.001 }, func(r *Reading) { r.Dropped, r.Stalled = 0.009, 0.1 },
		},
		"listen queue, rarely": {
			Target, Listen, "",
			func(r *Reading) { r.Dropped, r.Stalled = 0.5, 0.001 }, func(r *Reading) { r.Dropped, r.Stalled = 0.5, 0.0009 },
		},
	} {
		r := idle()
		c.holds(&r)
		if got := Find(r); got.Tier != c.tier || got.What != c.what || got.Member != c.member || !got.Limits {
			t.Errorf("%s: %+v, want %q %q %q", name, got.Use, c.tier, c.what, c.member)
		}
		r = idle()
		c.below(&r)
		if got := Find(r); got.Tier != "" || len(got.Uses) < 8 {
			t.Errorf("%s, just below: %+v, want none of 8 uses or more", name, got.Use)
		}
	}
}

// Where several things are used up the first rule decides, and within a rule the greatest share.
func TestOrder(t *testing.T) {
	r := idle()
	r.Host, r.Dropped, r.Stalled = 1, 0.5, 0.5
	r.Running, r.Pool, r.InFlight = 8, 8, 32
	if got := Find(r); got.Tier != SharedMachine {
		t.Errorf("on a full machine everything waits: %+v", got.Use)
	}
	r.Host = 0.5
	if got := Find(r); got.Tier != Database || got.What != Queue {
		t.Errorf("a queue in the database behind a full pool: %+v", got.Use)
	}
	r.Host = 1
	r.Members[2].CPU = 3.9
	if got := Find(r); got.Tier != Target || got.Of != "of the machine's cores" {
		t.Errorf("one tier that uses all of it: %+v", got.Use)
	}
	r.Members[3].Thread, r.Members[1].Thread = 0.95, 0.93
	if got := Find(r); got.Tier != Target || got.Member != "a-1/7" || got.Share != 0.95 || got.More != "the busiest of 2; the next 40.0 %" {
		t.Errorf("two threads: %+v", got.Use)
	}
	r.Members[1].Thread = 0.97
	if got := Find(r); got.Tier != Balancer {
		t.Errorf("two threads, the other way: %+v", got.Use)
	}
	r.Members[5].Quota, r.Members[5].Throttled = 0.5, 0.3
	if got := Find(r); got.Tier != Database || got.What != Quota {
		t.Errorf("a quota: %+v", got.Use)
	}
	r.Ceiling = 0.8
	if got := Find(r); got.Tier != Generator || got.What != Ceiling || !Foreign(got.Tier) {
		t.Errorf("near the ceiling nothing else can be known: %+v", got.Use)
	}
}

// What was not measured names nothing.
func TestUnmeasured(t *testing.T) {
	r := Reading{Cores: 4, Running: Unknown, Pool: 2, InFlight: 32, Rate: 10, Locked: 30, Members: []Member{{Tier: Target, Name: "a-1", CPU: 1, Thread: Unknown}}}
	if got := Find(r); got.Tier != "" || len(got.Uses) != 1 {
		t.Errorf("%+v", got)
	}
	r.Running, r.Locked = 2, 0 // a full pool, and nobody knows how long a statement takes alone
	if got := Find(r); got.Tier != "" {
		t.Errorf("%+v", got)
	}
}

func TestForeign(t *testing.T) {
	for tier, want := range map[string]bool{"": false, Generator: true, Balancer: true, Target: false, Pool: false, Database: true, SharedMachine: false} {
		if Foreign(tier) != want {
			t.Errorf("%q: foreign %v", tier, Foreign(tier))
		}
	}
}
