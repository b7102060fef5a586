package plan

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"bakeoff/internal/strictyaml"
)

// Cores are thousandths of a core, written as "2", "0.5" or "500m".
type Cores int64

var coresText = regexp.MustCompile(`^(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?$|^[1-9][0-9]{0,8}m$`)

// UnmarshalText reads what String writes, and decimals.
func (c *Cores) UnmarshalText(text []byte) error {
	word := string(text)
	if !coresText.MatchString(word) {
		return &textError{strictyaml.Quote(word) + " is not a number of cores", "such as 2 or 500m"}
	}
	milli, ok := strings.CutSuffix(word, "m")
	if !ok {
		whole, part, _ := strings.Cut(word, ".")
		milli = whole + (part + "000")[:3]
	}
	n, err := strconv.ParseInt(milli, 10, 64)
	if n == 0 && err == nil {
		return &textError{strictyaml.Quote(word) + " is no processor time at all", "such as 500m"}
	}
	*c = Cores(n)
	return err
}

// String is the shortest way to write it, such as "2" or "500m".
func (c Cores) String() string {
	if c%1000 == 0 {
		return strconv.FormatInt(int64(c/1000), 10)
	}
	return strconv.FormatInt(int64(c), 10) + "m"
}

// MarshalText writes what String gives.
func (c Cores) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Bytes are written with a unit of Ki, Mi, Gi or Ti.
type Bytes int64

var bytesText = regexp.MustCompile(`^([1-9][0-9]{0,6})(Ki|Mi|Gi|Ti)$`)

// powers are the units, each 1024 times the one before.
const powers = "KiMiGiTi"

// UnmarshalText reads what String writes.
func (b *Bytes) UnmarshalText(text []byte) error {
	found := bytesText.FindStringSubmatch(string(text))
	if found == nil {
		return &textError{strictyaml.Quote(string(text)) + " is not a size", "such as 512Mi or 8Gi"}
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	*b = Bytes(n << (10 * (1 + strings.Index(powers, found[2])/2)))
	return err
}

// String is the size with the largest unit that leaves it whole.
func (b Bytes) String() string {
	n, unit := int64(b), 0
	for n != 0 && n%1024 == 0 && unit < len(powers)/2 {
		n, unit = n/1024, unit+1
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d%s", n, powers[2*unit-2:2*unit])
}

// MarshalText writes what String gives.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

const (
	mebi Bytes = 1 << 20
	gibi Bytes = 1 << 30
)

// fill gives what is left out: requests that fit the seed's three nodes, and its limits of the database. Roles that
// the plan has no use for stay empty.
func (k *Kubernetes) fill(p *Plan) {
	if k.Tag == "" {
		k.Tag = "1"
	}
	if k.Spread == "" {
		k.Spread = OnePerNode
	}
	r := &k.Resources
	if p.Uses(JMeter) {
		r.Controller.fill(500, gibi) // with a master
		r.JMeter.fill(1000, gibi)
	}
	r.Controller.fill(200, 256*mebi)
	if p.Database.Kind == "private" {
		if r.Database == (Resource{}) {
			r.Database.Limits = Amounts{2000, 8 * gibi}
		}
		r.Database.fill(2000, 8*gibi)
	}
	if !p.Running() {
		r.Target.fill(500, 512*mebi)
		r.Balancer.fill(250, 128*mebi)
	}
	r.Agent.fill(1000, 256*mebi)
	if p.Collect.InfluxDB.Kind == KindManaged {
		r.InfluxDB.fill(250, 512*mebi)
	}
}

// fill gives requests that are left out: those, or the limits where they are lower.
func (r *Resource) fill(cpu Cores, memory Bytes) {
	if r.Limits.CPU > 0 {
		cpu = min(cpu, r.Limits.CPU)
	}
	if r.Limits.Memory > 0 {
		memory = min(memory, r.Limits.Memory)
	}
	if r.Requests.CPU == 0 {
		r.Requests.CPU = cpu
	}
	if r.Requests.Memory == 0 {
		r.Requests.Memory = memory
	}
}

// Ways to spread replicas.
const (
	OnePerNode = "one-per-node"
	AnyNode    = "any"
)

// short asks for little: enough for 20,000 rows and one worker per replica.
func (k Kubernetes) short() Kubernetes {
	r := &k.Resources
	for _, role := range []*Resource{&r.Controller, &r.Target, &r.Balancer, &r.Agent, &r.InfluxDB, &r.JMeter} {
		role.shorten(50, 128*mebi)
	}
	r.Database.shorten(100, 512*mebi)
	return k
}

func (r *Resource) shorten(cpu Cores, memory Bytes) {
	r.Limits = Amounts{}
	r.Requests = Amounts{min(r.Requests.CPU, cpu), min(r.Requests.Memory, memory)}
}
