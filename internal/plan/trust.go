package plan

// Values of the switches of Trust.
const (
	On     = "on"
	Off    = "off"
	Own    = "own"
	Shared = "shared"
)

// trustSwitch is one switch: its key, where its value is, the value that it has by default, and the other one.
type trustSwitch struct {
	key        string
	value      *string
	usual, not string
}

// switches are all of them in the order of the type.
func (t *Trust) switches() []trustSwitch {
	return []trustSwitch{
		{"lookups", &t.Lookups, On, Off},
		{"moves", &t.Moves, On, Off},
		{"bodies", &t.Bodies, On, Off},
		{"salt", &t.Salt, On, Off},
		{"statements", &t.Statements, On, Off},
		{"account", &t.Account, Own, Shared},
		{"user", &t.User, Own, Shared},
		{"processes", &t.Processes, On, Off},
		{"record", &t.Record, On, Off},
	}
}

// fill writes what is the default in one way, so that it has one digest.
func (t *Trust) fill() {
	for _, s := range t.switches() {
		if *s.value == s.usual {
			*s.value = ""
		}
	}
}

// Less are the checks that the plan leaves out, as its keys with their values, such as "moves: off".
func (t Trust) Less() []string {
	var out []string
	for _, s := range t.switches() {
		if *s.value != "" {
			out = append(out, s.key+": "+*s.value)
		}
	}
	return out
}

// trust looks at the switches.
func (c *checker) trust() {
	for _, s := range c.plan.Trust.switches() {
		if *s.value != "" && !c.bad("trust."+s.key) {
			c.word("trust."+s.key, *s.value, s.usual, s.not)
		}
	}
}
