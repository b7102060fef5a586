// Package plan says what to run: YAML in, a validated plan out, expanded into
// an ordered list of trials. It is pure: it opens no file but the one it is
// given and asks nothing of the machine. It refuses what it does not know.
package plan

// Plan is a validated plan with every default filled in.
type Plan struct {
	Name        string     `json:"name" yaml:"name"`
	Description string     `json:"description,omitempty" yaml:"description,omitempty"`
	Seed        uint64     `json:"seed" yaml:"seed"`
	Blocks      int        `json:"blocks" yaml:"blocks"`
	Primary     string     `json:"primary" yaml:"primary"` // "throughput" or "p99 at rate"; later: "capacity"
	Dataset     Dataset    `json:"dataset" yaml:"dataset"`
	Database    Database   `json:"database" yaml:"database"`
	Balancer    Balancer   `json:"balancer" yaml:"balancer"`
	Agents      Agents     `json:"agents" yaml:"agents"`
	Deployment  Deployment `json:"deployment" yaml:"deployment"`
	Targets     []Target   `json:"targets" yaml:"targets"`
	Warmup      Duration   `json:"warmup" yaml:"warmup"` // closed model, the connections of the first phase
	Pilot       Duration   `json:"pilot" yaml:"pilot"`   // 0: no pilot; required by rate_of_pilot
	Phases      []Phase    `json:"phases" yaml:"phases"`
	// AllowHosts are the non-loopback host names or addresses this plan may
	// send anything to: consent, given by name.
	AllowHosts []string `json:"allow_hosts,omitempty" yaml:"allow_hosts,omitempty"`
	// AllowUnfair permits differences between targets that would be refused, with the reason shown in every report.
	AllowUnfair string `json:"allow_unfair,omitempty" yaml:"allow_unfair,omitempty"`
}

// Dataset is the table and the keys asked for.
type Dataset struct {
	Rows     int     `json:"rows" yaml:"rows"`           // 1 to 100,000,000
	Seed     uint64  `json:"seed" yaml:"seed"`           // default: 1, so that plans share a filled table
	Lengths  Lengths `json:"lengths" yaml:"lengths"`     // of names, uniform; default 1 to 255
	HitRatio float64 `json:"hit_ratio" yaml:"hit_ratio"` // share of keys that exist; default 0.5
	Lookups  string  `json:"lookups" yaml:"lookups"`     // "client" (default) or "server": who draws the keys
}

// Lengths is a closed interval of name lengths in characters.
type Lengths struct {
	Min int `json:"min" yaml:"min"`
	Max int `json:"max" yaml:"max"`
}

// Database says where the table lives.
type Database struct {
	Kind           string            `json:"kind" yaml:"kind"`                                           // "private" (default) or "external"
	DSNFile        string            `json:"dsn_file,omitempty" yaml:"dsn_file,omitempty"`               // external: a file of mode 0600 holding user:password@tcp(host:port)/name
	MaxConnections int               `json:"max_connections,omitempty" yaml:"max_connections,omitempty"` // private: 0 means what the plan needs
	BufferPool     string            `json:"buffer_pool,omitempty" yaml:"buffer_pool,omitempty"`         // private: such as 512M
	Settings       map[string]string `json:"settings,omitempty" yaml:"settings,omitempty"`               // private: further server variables
}

// Balancer stands before the replicas.
type Balancer struct {
	Kind string `json:"kind" yaml:"kind"`                   // "nginx" (default), "direct", "external"
	URL  string `json:"url,omitempty" yaml:"url,omitempty"` // external
}

// Agents generate the load.
type Agents struct {
	Count  int    `json:"count" yaml:"count"`   // default 2
	Engine string `json:"engine" yaml:"engine"` // "http" (default): on Go's net/http
}

// Deployment is how every target is deployed unless it says otherwise.
type Deployment struct {
	Replicas int `json:"replicas" yaml:"replicas"`
	Workers  int `json:"workers" yaml:"workers"` // per replica
	Pool     int `json:"pool" yaml:"pool"`       // database connections per worker
	// AccessLog is the same for all targets: false (default) or true.
	AccessLog bool `json:"access_log" yaml:"access_log"`
}

// Target is one thing compared.
type Target struct {
	Name     string            `json:"name" yaml:"name"`     // unique in the plan; default: the recipe's name
	Recipe   string            `json:"recipe" yaml:"recipe"` // a folder in targets/
	Variant  string            `json:"variant,omitempty" yaml:"variant,omitempty"`
	Settings map[string]string `json:"settings,omitempty" yaml:"settings,omitempty"` // environment given to the recipe, over its own
	// Replicas, Workers, Pool override the deployment; 0 means as there.
	Replicas int `json:"replicas,omitempty" yaml:"replicas,omitempty"`
	Workers  int `json:"workers,omitempty" yaml:"workers,omitempty"`
	Pool     int `json:"pool,omitempty" yaml:"pool,omitempty"`
}

// Phase is one measured stretch of a trial.
type Phase struct {
	Name        string   `json:"name" yaml:"name"`
	Model       string   `json:"model" yaml:"model"` // "closed" or "open"
	Connections int      `json:"connections" yaml:"connections"`
	Duration    Duration `json:"duration" yaml:"duration"`
	Ramp        Duration `json:"ramp,omitempty" yaml:"ramp,omitempty"`                   // closed
	Think       Duration `json:"think,omitempty" yaml:"think,omitempty"`                 // closed
	Rate        float64  `json:"rate,omitempty" yaml:"rate,omitempty"`                   // open: arrivals per second
	RateOfPilot float64  `json:"rate_of_pilot,omitempty" yaml:"rate_of_pilot,omitempty"` // open: share of the slowest target's pilot throughput
	Arrivals    string   `json:"arrivals,omitempty" yaml:"arrivals,omitempty"`           // open: "poisson" (default) or "constant"
	Timeout     Duration `json:"timeout" yaml:"timeout"`                                 // default 10s
	CheckShare  float64  `json:"check_share" yaml:"check_share"`                         // default 0.1, at least 0.1
	Reconnect   bool     `json:"reconnect,omitempty" yaml:"reconnect,omitempty"`
	Lookups     string   `json:"lookups" yaml:"lookups"` // default: as the dataset says
}

// Trial is one target in one block, at its place in the run's order.
type Trial struct {
	Block    int // from 1; 0 is the pilot
	Position int // from 1 within the block
	Target   string
}
