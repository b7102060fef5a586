// Package plan says what to run: YAML in, a validated plan out, expanded into
// an ordered list of trials. It is pure: it opens no file but the one it is
// given and asks nothing of the machine. It refuses what it does not know.
package plan

// Plan is a validated plan with every default filled in.
type Plan struct {
	// Name of the plan, part of the run directory's name.
	Name string `json:"name" yaml:"name" jsonschema:"required,pattern=^[a-z0-9-]+$,minLength=1,maxLength=63"`
	// Description says what the plan compares, for people.
	Description string `json:"description,omitempty" yaml:"description,omitempty" jsonschema:"maxLength=10000"`
	// Seed of everything random in the run but the dataset: the order of trials, arrivals, keys.
	Seed uint64 `json:"seed" yaml:"seed" jsonschema:"minimum=0,maximum=18446744073709551615,default=1"`
	// Blocks: how many times every target is measured.
	Blocks int `json:"blocks" yaml:"blocks" jsonschema:"minimum=1,maximum=1000,default=7"`
	// Primary is the metric that decides, declared before the run: "throughput" needs a closed phase and is the default with one, "p99 at rate" an open one, "capacity" an objective, a pilot and a closed phase.
	Primary string `json:"primary" yaml:"primary" jsonschema:"enum=throughput,enum=p99 at rate,enum=capacity"`
	// Objective, with primary: capacity, is what a target has to meet at the highest rate that is searched for.
	Objective Objective `json:"objective,omitzero" yaml:"objective,omitempty"`
	// Delta is the smallest difference that matters, such as 3%: "better" takes an estimate beyond it, "equivalent" is within it.
	Delta Delta `json:"delta" yaml:"delta" jsonschema:"default=3%"`
	// Dataset, Database, Balancer and Deployment are for targets of recipes; where the targets are running servers they are empty.
	Dataset    Dataset    `json:"dataset,omitzero" yaml:"dataset,omitempty"`
	Database   Database   `json:"database,omitzero" yaml:"database,omitempty"`
	Balancer   Balancer   `json:"balancer,omitzero" yaml:"balancer,omitempty"`
	Agents     Agents     `json:"agents" yaml:"agents"`
	Deployment Deployment `json:"deployment,omitzero" yaml:"deployment,omitempty"`
	// Targets are what is compared, all of one kind; one recipe may stand here several times under several names.
	Targets []Target `json:"targets" yaml:"targets" jsonschema:"required,minItems=1,maxItems=100"`
	// Warmup is load before the phases that is not measured: closed model, the connections of the first phase; 0s: none; "1s to 5s": until every target is steady, at least and at most so long.
	Warmup Warmup `json:"warmup" yaml:"warmup" jsonschema:"default=2s"`
	// Pilot is the length of one closed trial per target before block 1; 0s: no pilot. A rate_of_pilot needs it.
	Pilot Duration `json:"pilot" yaml:"pilot" jsonschema:"default=0s"`
	// Turns: the targets of a block are up together and the load goes from one to the next, for so long at a time; off: one target after another.
	Turns Turns `json:"turns,omitempty" yaml:"turns,omitempty" jsonschema:"default=off"`
	// KeepConnections, with turns: those to the replicas are kept for the whole of a closed phase; else they are closed and opened again about once a second.
	KeepConnections bool `json:"keep_connections,omitempty" yaml:"keep_connections,omitempty" jsonschema:"default=false"`
	// Phases are the measured stretches of a trial, in order.
	Phases []Phase `json:"phases" yaml:"phases" jsonschema:"required,minItems=1,maxItems=100"`
	// Thresholds are requirements, such as "open: p99 < 50ms" or "closed: a.throughput > 0.95 * b.throughput": a phase, a figure of one target or of every one, and a bound.
	Thresholds []string `json:"thresholds,omitempty" yaml:"thresholds,omitempty" jsonschema:"maxItems=100,uniqueItems=true"`
	// Trust switches checks of the targets' honesty off, one by one; every report says which. All are on where it is left out.
	Trust Trust `json:"trust,omitzero" yaml:"trust,omitempty"`
	// Collect says where else the run is written while it lasts; nobody needs it, and nothing waits for it.
	Collect Collect `json:"collect,omitzero" yaml:"collect,omitempty"`
	// Kubernetes is for runs in a cluster: where images are, and what pods ask for. Elsewhere nothing of it counts.
	Kubernetes Kubernetes `json:"kubernetes,omitzero" yaml:"kubernetes,omitempty"`
	// AllowHosts are the non-loopback host names or addresses this plan may
	// send anything to: consent, given by name.
	AllowHosts []string `json:"allow_hosts,omitempty" yaml:"allow_hosts,omitempty"`
	// Budget is for plans that sweep: targets may differ in workers and database connections within it. Without it all have as many.
	Budget Budget `json:"budget,omitzero" yaml:"budget,omitempty"`
	// AllowUnfair permits differences between targets that would be refused, with the reason shown in every report.
	AllowUnfair string `json:"allow_unfair,omitempty" yaml:"allow_unfair,omitempty" jsonschema:"minLength=10,maxLength=10000"`
}

// Budget is the most that each target may have, all its replicas together.
type Budget struct {
	// Connections to the database.
	Connections int `json:"connections" yaml:"connections" jsonschema:"required,minimum=1,maximum=1000000"`
	// Workers: serving processes; each keeps about one core busy at most.
	Workers int `json:"workers" yaml:"workers" jsonschema:"required,minimum=1,maximum=25600"`
}

// Objective is a bound of one percentile of the response time, and one of errors.
type Objective struct {
	// P90, P95 or P99 is the bound of that percentile; one of them.
	P90 Duration `json:"p90,omitempty" yaml:"p90,omitempty"`
	P95 Duration `json:"p95,omitempty" yaml:"p95,omitempty"`
	P99 Duration `json:"p99,omitempty" yaml:"p99,omitempty"`
	// Errors is the share of planned requests that may lack a right answer, such as 0.1%.
	Errors Delta `json:"errors,omitempty" yaml:"errors,omitempty" jsonschema:"default=0.1%"`
	// Stage is how long a stage lasts at least; one at a low rate is as long as 1000 requests need.
	Stage Duration `json:"stage,omitempty" yaml:"stage,omitempty" jsonschema:"default=10s"`
	// Connections over all agents together are the upper bound of those of a stage.
	Connections int `json:"connections,omitempty" yaml:"connections,omitempty" jsonschema:"minimum=1,maximum=100000,default=256"`
}

// Trust switches checks off; what is left out is done. docs/trust.md says what each finds.
type Trust struct {
	// Lookups: the database counts of each answer whether it is one indexed lookup of its own; on or off.
	Lookups string `json:"lookups,omitempty" yaml:"lookups,omitempty" jsonschema:"enum=on,enum=off"`
	// Moves: rows change while a phase is measured; on or off.
	Moves string `json:"moves,omitempty" yaml:"moves,omitempty" jsonschema:"enum=on,enum=off"`
	// Bodies: at least 3000 bodies of a phase are checked, not only the share of the plan; on or off.
	Bodies string `json:"bodies,omitempty" yaml:"bodies,omitempty" jsonschema:"enum=on,enum=off"`
	// Salt: the order of keys and the choice of checked bodies depend on a secret of the run; on or off.
	Salt string `json:"salt,omitempty" yaml:"salt,omitempty" jsonschema:"enum=on,enum=off"`
	// Statements and locks that a target leaves in the database are looked for, and refuse its trial; on or off.
	Statements string `json:"statements,omitempty" yaml:"statements,omitempty" jsonschema:"enum=on,enum=off"`
	// Account in the database: each trial has one of its own, or all share one.
	Account string `json:"account,omitempty" yaml:"account,omitempty" jsonschema:"enum=own,enum=shared"`
	// User: where bakeoff is root, each target runs under an account of its own on this machine, or all under bakeoff's.
	User string `json:"user,omitempty" yaml:"user,omitempty" jsonschema:"enum=own,enum=shared"`
	// Processes of a target are held together, and those that outlive it refuse its trial; on or off.
	Processes string `json:"processes,omitempty" yaml:"processes,omitempty" jsonschema:"enum=on,enum=off"`
	// Record: a trial whose lines were changed by somebody else is refused; on or off.
	Record string `json:"record,omitempty" yaml:"record,omitempty" jsonschema:"enum=on,enum=off"`
}

// Dataset is the table and the keys asked for.
type Dataset struct {
	// Rows of the table.
	Rows int `json:"rows" yaml:"rows" jsonschema:"minimum=1,maximum=100000000,default=1000000"`
	// Seed of the rows; the same by default, so that plans share a filled table.
	Seed uint64 `json:"seed" yaml:"seed" jsonschema:"minimum=0,maximum=18446744073709551615,default=1"`
	// Lengths of the names, drawn uniformly.
	Lengths Lengths `json:"lengths" yaml:"lengths"`
	// HitRatio is the share of keys that exist.
	HitRatio float64 `json:"hit_ratio" yaml:"hit_ratio" jsonschema:"minimum=0,maximum=1,default=0.5"`
	// Lookups says who draws the keys.
	Lookups string `json:"lookups" yaml:"lookups" jsonschema:"enum=client,enum=server,default=client"`
}

// Lengths is a closed interval of name lengths in characters.
type Lengths struct {
	Min int `json:"min" yaml:"min" jsonschema:"minimum=1,maximum=255,default=1"`
	Max int `json:"max" yaml:"max" jsonschema:"minimum=1,maximum=255,default=255"`
}

// Database says where the table lives.
type Database struct {
	// Kind: private is started for the run, external is reached by dsn_file.
	Kind string `json:"kind" yaml:"kind" jsonschema:"enum=private,enum=external,default=private"`
	// Server, for private: mariadb, mysql, or the absolute path of a server program; the first one on PATH by default.
	Server string `json:"server,omitempty" yaml:"server,omitempty" jsonschema:"pattern=^(mariadb|mysql|/.*)$,maxLength=4096"`
	// DSNFile, for external: a file of mode 0600 holding user:password@tcp(host:port)/name; in a cluster it is one of the machine that starts the run.
	DSNFile string `json:"dsn_file,omitempty" yaml:"dsn_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// MaxConnections, for private: 0, the default, means what the plan needs.
	MaxConnections int `json:"max_connections,omitempty" yaml:"max_connections,omitempty" jsonschema:"minimum=0,maximum=100000"`
	// BufferPool, for private: such as 512M.
	BufferPool string `json:"buffer_pool,omitempty" yaml:"buffer_pool,omitempty" jsonschema:"pattern=^[1-9][0-9]*[KMG]$,maxLength=10"`
	// Settings, for private: further server variables.
	Settings map[string]string `json:"settings,omitempty" yaml:"settings,omitempty"`
}

// Balancer is what is before the replicas.
type Balancer struct {
	// Kind: nginx is started for the run, direct lets agents spread over the replicas themselves, external is reached by url. In a cluster alone: service is a Service with an address of its own, ingress an Ingress, gateway an HTTPRoute of a Gateway that is there.
	Kind string `json:"kind" yaml:"kind" jsonschema:"enum=nginx,enum=direct,enum=external,enum=service,enum=ingress,enum=gateway,default=nginx"`
	// URL of an external balancer.
	URL string `json:"url,omitempty" yaml:"url,omitempty" jsonschema:"pattern=^https?://[^?#@]+$"`
	// ReplicaPorts, for external: the ports at which that balancer expects the replicas, in order.
	ReplicaPorts []int `json:"replica_ports,omitempty" yaml:"replica_ports,omitempty" jsonschema:"minItems=1,uniqueItems=true"`
	// Class, for ingress: the IngressClass, whose controller serves it; the cluster's default class where it is left out.
	Class string `json:"class,omitempty" yaml:"class,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$,maxLength=253"`
	// Name, for gateway, of the Gateway.
	Name string `json:"name,omitempty" yaml:"name,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$,maxLength=253"`
	// Namespace, for gateway, of the Gateway; the run's own where it is left out.
	Namespace string `json:"namespace,omitempty" yaml:"namespace,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9-]*[a-z0-9])?$,maxLength=63"`
	// Host, for ingress and gateway: the name that requests ask for, which nobody looks up, such as {target}.bench.example; {target} stands for the target's name, and has to be there where the plan has several.
	Host string `json:"host,omitempty" yaml:"host,omitempty" jsonschema:"minLength=1,maxLength=253"`
	// Address, for ingress and gateway: where connections are made, a host or host:port; port 80 where it is left out. Of an ingress by default that of its status, which has to be in allow_hosts.
	Address string `json:"address,omitempty" yaml:"address,omitempty" jsonschema:"minLength=1,maxLength=300"`
	// Annotations, for ingress and gateway, of the Ingress or the HTTPRoute, and of the Service that it leads to: for the controller that serves it.
	Annotations map[string]string `json:"annotations,omitempty" yaml:"annotations,omitempty"`
	// EqualWithin, for service, ingress and gateway: a trial is refused if the share of a replica differs from an equal one by more, such as 2%. Without it shares are only shown.
	EqualWithin Delta `json:"equal_within,omitempty" yaml:"equal_within,omitempty"`
}

// Kinds of balancers that a cluster brings along.
const (
	BalancerService = "service" // a Service with an address of its own
	BalancerIngress = "ingress" // an Ingress of some class
	BalancerGateway = "gateway" // an HTTPRoute of a Gateway that is there
)

// Agents generate the load.
type Agents struct {
	// Count of agents: the processes that share the load.
	Count int `json:"count" yaml:"count" jsonschema:"minimum=1,maximum=64,default=2"`
	// Engine: native runs its own event loop on Linux, http is built on Go's net/http, jmeter is a JMeter master with one server per agent.
	Engine string `json:"engine" yaml:"engine" jsonschema:"enum=native,enum=http,enum=jmeter,default=native"`
	// JMX, for engine jmeter: a test plan of your own that is run as it is, relative to the plan's file; it gets host, port, threads, ramp, duration and keys as properties.
	JMX string `json:"jmx,omitempty" yaml:"jmx,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// HTTP2, for running servers and engine http: HTTP/2, one request at a time on each connection.
	HTTP2 bool `json:"http2,omitempty" yaml:"http2,omitempty" jsonschema:"default=false"`
}

// Deployment is how every target is deployed unless it says otherwise.
type Deployment struct {
	// Replicas of each target, behind the balancer.
	Replicas int `json:"replicas" yaml:"replicas" jsonschema:"minimum=1,maximum=100,default=1"`
	// Workers: serving processes per replica.
	Workers int `json:"workers" yaml:"workers" jsonschema:"minimum=1,maximum=256,default=2"`
	// Pool: database connections per worker.
	Pool int `json:"pool" yaml:"pool" jsonschema:"minimum=1,maximum=10000,default=8"`
	// AccessLog is the same for all targets.
	AccessLog bool `json:"access_log" yaml:"access_log" jsonschema:"default=false"`
}

// Collect says which collectors a run is written to; the run directory has everything all the same.
type Collect struct {
	InfluxDB InfluxDB `json:"influxdb,omitzero" yaml:"influxdb,omitempty"`
	OTLP     OTLP     `json:"otlp,omitzero" yaml:"otlp,omitempty"`
}

// InfluxDB is a server of any version that speaks its line protocol. Passwords and tokens are in files or in the environment, never in the plan.
type InfluxDB struct {
	// Kind: server, the default, is one that runs already; managed, which may also be written as influxdb: managed, is started for the run and keeps its data in the run directory.
	Kind string `json:"kind,omitempty" yaml:"kind,omitempty" jsonschema:"enum=server,enum=managed"`
	// URL of the server, such as http://127.0.0.1:8086.
	URL string `json:"url,omitempty" yaml:"url,omitempty" jsonschema:"pattern=^https?://[^?#@]+$"`
	// Database, of version 1 and whatever takes its writes; it is made where it is missing.
	Database string `json:"database,omitempty" yaml:"database,omitempty" jsonschema:"minLength=1,maxLength=64"`
	// Bucket and Org, of version 2, in place of a database; the bucket has to exist.
	Bucket string `json:"bucket,omitempty" yaml:"bucket,omitempty" jsonschema:"minLength=1,maxLength=64"`
	Org    string `json:"org,omitempty" yaml:"org,omitempty" jsonschema:"minLength=1,maxLength=64"`
	// Schema: bakeoff writes every figure, jmeter what JMeter's own listener writes, for dashboards that exist; or both.
	Schema string `json:"schema,omitempty" yaml:"schema,omitempty" jsonschema:"enum=bakeoff,enum=jmeter,enum=both,default=bakeoff"`
	// Listener: in phases that JMeter drives, its own InfluxDB listener writes to this server too, as the measurement jmeter_listener.
	Listener bool `json:"listener,omitempty" yaml:"listener,omitempty" jsonschema:"default=false"`
	// User of version 1; the password is in password_file, or in BAKEOFF_INFLUXDB_PASSWORD.
	User string `json:"user,omitempty" yaml:"user,omitempty" jsonschema:"minLength=1,maxLength=255"`
	// PasswordFile is a file of mode 0600.
	PasswordFile string `json:"password_file,omitempty" yaml:"password_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// TokenFile is a file of mode 0600 with a token, which may also be in BAKEOFF_INFLUXDB_TOKEN.
	TokenFile string `json:"token_file,omitempty" yaml:"token_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// CAFile holds the authorities to trust, instead of the system's.
	CAFile string `json:"ca_file,omitempty" yaml:"ca_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
}

// OTLP is a server that takes OpenTelemetry's metrics over HTTP, as protobuf. Tokens and headers are in files or in the environment, never in the plan.
type OTLP struct {
	// URL of the server, such as http://127.0.0.1:4318; /v1/metrics is added where it does not end so.
	URL string `json:"url" yaml:"url" jsonschema:"required,pattern=^https?://[^?#@]+$"`
	// TokenFile is a file of mode 0600 with a token, sent as bearer token, which may also be in BAKEOFF_OTLP_TOKEN.
	TokenFile string `json:"token_file,omitempty" yaml:"token_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// HeadersFile is a file of mode 0600 with headers to be sent, such as an API key, each on a line as in HTTP.
	HeadersFile string `json:"headers_file,omitempty" yaml:"headers_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// CAFile holds the authorities to trust, instead of the system's.
	CAFile string `json:"ca_file,omitempty" yaml:"ca_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
}

// Kubernetes says how the processes of a run become pods.
type Kubernetes struct {
	// Registry has the images: REGISTRY/NAME:TAG for bakeoff, each recipe by its name, database, nginx, influxdb and jmeter.
	Registry string `json:"registry,omitempty" yaml:"registry,omitempty" jsonschema:"pattern=^[a-z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)*$,maxLength=200"`
	// Tag of those images; never latest.
	Tag string `json:"tag,omitempty" yaml:"tag,omitempty" jsonschema:"pattern=^[A-Za-z0-9_][A-Za-z0-9_.-]{0\\,127}$,default=1"`
	// Images that are elsewhere, by the same names, each with a tag or a digest.
	Images map[string]string `json:"images,omitempty" yaml:"images,omitempty"`
	// PullSecret is the name of a secret of the namespace with which images are pulled.
	PullSecret string `json:"pull_secret,omitempty" yaml:"pull_secret,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$,maxLength=253"`
	// Spread: one-per-node forbids two replicas of a target on one node, any leaves it to the cluster.
	Spread string `json:"spread,omitempty" yaml:"spread,omitempty" jsonschema:"enum=one-per-node,enum=any,default=one-per-node"`
	// AllowColocated permits agents on nodes of targets and of the database, with the reason shown in every report.
	AllowColocated string `json:"allow_colocated,omitempty" yaml:"allow_colocated,omitempty" jsonschema:"minLength=10,maxLength=10000"`
	// Resources are what pods of each role ask for, and may use at most; no limit is set that is not written here, except the database's.
	Resources Resources `json:"resources,omitzero" yaml:"resources,omitempty"`
	Storage   Storage   `json:"storage,omitzero" yaml:"storage,omitempty"`
	Pods      Pods      `json:"pods,omitzero" yaml:"pods,omitempty"`
}

// Resources by role.
type Resources struct {
	Controller Resource `json:"controller,omitzero" yaml:"controller,omitempty"`
	Database   Resource `json:"database,omitzero" yaml:"database,omitempty"`
	Target     Resource `json:"target,omitzero" yaml:"target,omitempty"`
	Balancer   Resource `json:"balancer,omitzero" yaml:"balancer,omitempty"`
	Agent      Resource `json:"agent,omitzero" yaml:"agent,omitempty"`
	InfluxDB   Resource `json:"influxdb,omitzero" yaml:"influxdb,omitempty"`
	// JMeter are its servers, each next to an agent; its masters run in the controller's pod.
	JMeter Resource `json:"jmeter,omitzero" yaml:"jmeter,omitempty"`
}

// Resource is what one pod asks for, and may use at most.
type Resource struct {
	Requests Amounts `json:"requests,omitzero" yaml:"requests,omitempty"`
	Limits   Amounts `json:"limits,omitzero" yaml:"limits,omitempty"`
}

// Amounts of processor and memory.
type Amounts struct {
	// CPU in cores, such as 2 or 500m.
	CPU Cores `json:"cpu,omitempty" yaml:"cpu,omitempty"`
	// Memory, such as 512Mi or 8Gi.
	Memory Bytes `json:"memory,omitempty" yaml:"memory,omitempty"`
}

// Storage says what outlives a pod's restart.
type Storage struct {
	// Database, for a private one, is a volume for its data; without it the data end with the pod.
	Database Volume `json:"database,omitzero" yaml:"database,omitempty"`
}

// Volume is asked of the cluster and removed with the run.
type Volume struct {
	// Size of the volume, such as 20Gi.
	Size Bytes `json:"size" yaml:"size" jsonschema:"required"`
	// Class of the storage; the cluster's default where it is left out.
	Class string `json:"class,omitempty" yaml:"class,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$,maxLength=253"`
}

// Pods is added to every pod of the run.
type Pods struct {
	// NodeSelector are labels that a node must have.
	NodeSelector map[string]string `json:"node_selector,omitempty" yaml:"node_selector,omitempty"`
	// Tolerations let pods onto nodes with taints.
	Tolerations   []Toleration      `json:"tolerations,omitempty" yaml:"tolerations,omitempty" jsonschema:"maxItems=20"`
	PriorityClass string            `json:"priority_class,omitempty" yaml:"priority_class,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$,maxLength=253"`
	Annotations   map[string]string `json:"annotations,omitempty" yaml:"annotations,omitempty"`
}

// Toleration of a taint.
type Toleration struct {
	// Key of the taint; every taint where it is left out.
	Key string `json:"key,omitempty" yaml:"key,omitempty" jsonschema:"minLength=1,maxLength=317"`
	// Operator: Equal, the default, compares the value; Exists takes any.
	Operator string `json:"operator,omitempty" yaml:"operator,omitempty" jsonschema:"enum=Equal,enum=Exists"`
	Value    string `json:"value,omitempty" yaml:"value,omitempty" jsonschema:"maxLength=63"`
	// Effect of the taint; each of them where it is left out.
	Effect string `json:"effect,omitempty" yaml:"effect,omitempty" jsonschema:"enum=NoSchedule,enum=PreferNoSchedule,enum=NoExecute"`
}

// Kinds of an InfluxDB.
const (
	KindServer  = "server"  // runs already; resolved to no kind at all
	KindManaged = "managed" // is started for the run
)

// Kinds of targets.
const (
	KindRecipe = "recipe" // deployed for the run; the default, resolved to no kind at all
	KindURL    = "url"    // a server that runs already
	KindDriver = "driver" // no server: the agents ask the database of the others themselves
)

// Target is one thing compared; a bare string is the name of its recipe.
type Target struct {
	// Kind: recipe, the default, is deployed for the run; url is a server that runs already and is only asked; driver, next to targets of recipes, is no server: the agents ask the database themselves, with the same statement, to show how much of the others' time that is. It is not ranked.
	Kind string `json:"kind,omitempty" yaml:"kind,omitempty" jsonschema:"enum=recipe,enum=url,enum=driver"`
	// Name of the target, unique in the plan; the recipe's name by default, driver for a driver.
	Name string `json:"name" yaml:"name" jsonschema:"pattern=^[a-z0-9-]+$,minLength=1,maxLength=63"`
	// URL, for url: what is asked, with path and query, such as http://127.0.0.1:8080/ping?x=1.
	URL string `json:"url,omitempty" yaml:"url,omitempty" jsonschema:"pattern=^https?://[^/?#@]+([/?][^#]*)?$,maxLength=4096"`
	// Expect, for url: what a right answer is.
	Expect Expect `json:"expect,omitzero" yaml:"expect,omitempty"`
	// TLS, for url and https: how the server is trusted and what it is shown.
	TLS TLS `json:"tls,omitzero" yaml:"tls,omitempty"`
	// Recipe is the name of a folder in targets/, or the path of one anywhere that begins with ./, ../ or /; relative to the plan's file.
	Recipe string `json:"recipe,omitempty" yaml:"recipe,omitempty" jsonschema:"pattern=^([a-z0-9-]{1\\,63}|\\.{1\\,2}(/.*)?|/.*)$,minLength=1,maxLength=4096"`
	// Variant of the recipe.
	Variant string `json:"variant,omitempty" yaml:"variant,omitempty" jsonschema:"pattern=^[a-z0-9-]+$,minLength=1,maxLength=63"`
	// Server of the recipe, in place of its own.
	Server string `json:"server,omitempty" yaml:"server,omitempty" jsonschema:"pattern=^[a-z0-9-]+$,minLength=1,maxLength=63"`
	// Settings are environment variables given to the recipe, over its own.
	Settings map[string]string `json:"settings,omitempty" yaml:"settings,omitempty"`
	// Replicas, Workers and Pool override the deployment's; left out they are as there.
	Replicas int `json:"replicas,omitempty" yaml:"replicas,omitempty" jsonschema:"minimum=1,maximum=100"`
	Workers  int `json:"workers,omitempty" yaml:"workers,omitempty" jsonschema:"minimum=1,maximum=256"`
	Pool     int `json:"pool,omitempty" yaml:"pool,omitempty" jsonschema:"minimum=1,maximum=10000"`
	// SettingOf: targets with the same name here are settings of one; bakeoff tune finds the best of them. A sweep gives it the target's name.
	SettingOf string `json:"setting_of,omitempty" yaml:"setting_of,omitempty" jsonschema:"pattern=^[a-z0-9-]+$,minLength=1,maxLength=63"`
	// Sweep makes the target stand for several, one for each combination of these values. A resolved plan has those instead.
	Sweep Sweep `json:"sweep,omitzero" yaml:"sweep,omitempty"`
}

// Sweep has the values that a target is to be tried with; each key is an axis.
type Sweep struct {
	// Workers: numbers of serving processes per replica.
	Workers []int `json:"workers,omitempty" yaml:"workers,omitempty" jsonschema:"minItems=1,maxItems=100,uniqueItems=true"`
	// Pool: numbers of database connections per worker.
	Pool []int `json:"pool,omitempty" yaml:"pool,omitempty" jsonschema:"minItems=1,maxItems=100,uniqueItems=true"`
	// Variant: names of variants of the recipe; none is the recipe as it stands.
	Variant []string `json:"variant,omitempty" yaml:"variant,omitempty" jsonschema:"minItems=1,maxItems=100,uniqueItems=true"`
	// Server: names of servers of the recipe; none is the recipe's own.
	Server []string `json:"server,omitempty" yaml:"server,omitempty" jsonschema:"minItems=1,maxItems=100,uniqueItems=true"`
	// Settings: the values of environment variables of the recipe.
	Settings map[string][]string `json:"settings,omitempty" yaml:"settings,omitempty"`
}

// TLS says how an https server is spoken to. Files are PEM.
type TLS struct {
	// Insecure: any certificate of the server will do.
	Insecure bool `json:"insecure,omitempty" yaml:"insecure,omitempty" jsonschema:"default=false"`
	// CAFile holds the authorities to trust, instead of the system's.
	CAFile string `json:"ca_file,omitempty" yaml:"ca_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// CertFile holds a certificate to show; it needs a key_file.
	CertFile string `json:"cert_file,omitempty" yaml:"cert_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// KeyFile holds the key of cert_file.
	KeyFile string `json:"key_file,omitempty" yaml:"key_file,omitempty" jsonschema:"minLength=1,maxLength=4096"`
	// ServerName is asked for and verified, instead of the URL's host.
	ServerName string `json:"server_name,omitempty" yaml:"server_name,omitempty" jsonschema:"minLength=1,maxLength=253"`
}

// Expect is what a right answer of a running server is.
type Expect struct {
	// Status of every right answer; a redirect is not followed.
	Status int `json:"status,omitempty" yaml:"status,omitempty" jsonschema:"minimum=200,maximum=599,default=200"`
	// Body is a text that the body of a right answer contains; checked on the phase's check_share of the answers.
	Body string `json:"body,omitempty" yaml:"body,omitempty" jsonschema:"minLength=1,maxLength=4096"`
}

// Phase is one measured stretch of a trial.
type Phase struct {
	// Name of the phase, unique in the plan; the model's name by default.
	Name string `json:"name" yaml:"name" jsonschema:"pattern=^[a-z0-9-]+$,minLength=1,maxLength=63"`
	// Model: closed: each connection sends when its last answer came; open: arrivals come by a schedule.
	Model string `json:"model" yaml:"model" jsonschema:"required,enum=closed,enum=open"`
	// Connections over all agents together; open: the upper bound, 256 by default.
	Connections int `json:"connections" yaml:"connections" jsonschema:"minimum=1,maximum=100000"`
	// Duration of the measurement; where targets take turns, of each of them.
	Duration Duration `json:"duration" yaml:"duration" jsonschema:"required"`
	// Ramp, closed: the time over which the connections begin, within the duration.
	Ramp Duration `json:"ramp,omitempty" yaml:"ramp,omitempty"`
	// Think, closed: the pause after an answer.
	Think Duration `json:"think,omitempty" yaml:"think,omitempty"`
	// Rate, open: arrivals per second.
	Rate float64 `json:"rate,omitempty" yaml:"rate,omitempty" jsonschema:"minimum=0.001,maximum=10000000"`
	// RateOfPilot, open: the rate as a share of the slowest target's pilot throughput.
	RateOfPilot float64 `json:"rate_of_pilot,omitempty" yaml:"rate_of_pilot,omitempty" jsonschema:"minimum=0.001,maximum=10"`
	// Engine of this phase; that of the agents by default.
	Engine string `json:"engine,omitempty" yaml:"engine,omitempty" jsonschema:"enum=native,enum=http,enum=jmeter"`
	// Arrivals, open: poisson by default.
	Arrivals string `json:"arrivals,omitempty" yaml:"arrivals,omitempty" jsonschema:"enum=poisson,enum=constant"`
	// Timeout runs from the actual send.
	Timeout Duration `json:"timeout" yaml:"timeout" jsonschema:"default=10s"`
	// CheckShare is the share of answers whose body is checked.
	CheckShare float64 `json:"check_share" yaml:"check_share" jsonschema:"minimum=0.1,maximum=1,default=0.1"`
	// Reconnect: a connection per request instead of keep-alive.
	Reconnect bool `json:"reconnect,omitempty" yaml:"reconnect,omitempty" jsonschema:"default=false"`
	// Pair measures the phase twice. connections: with keep-alive and then, as NAME-reconnect, with a connection per request. direct: through the balancer and then, as NAME-direct, without it. A resolved plan has both phases instead.
	Pair string `json:"pair,omitempty" yaml:"pair,omitempty" jsonschema:"enum=connections,enum=direct"`
	// Direct, for targets of recipes: the agents ask the replicas themselves, although there is a balancer.
	Direct bool `json:"direct,omitempty" yaml:"direct,omitempty" jsonschema:"default=false"`
	// Ask, for targets of recipes: ping asks for GET /ping, which no target answers from the database: what an answer takes without it. Lookups by default.
	Ask string `json:"ask,omitempty" yaml:"ask,omitempty" jsonschema:"enum=ping"`
	// Lookups, for targets of recipes, says who draws the keys; as the dataset says by default.
	Lookups string `json:"lookups,omitempty" yaml:"lookups,omitempty" jsonschema:"enum=client,enum=server"`
}

// Trial is one target in one block, at its place in the run's order.
type Trial struct {
	Block    int // from 1; 0 is the pilot
	Position int // from 1 within the block
	Target   string
}
