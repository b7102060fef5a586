// Package venue says what a run asks of the place in which its processes live:
// facts about the machines, a database, the replicas of a target behind a
// balancer, samples of all of them. venue/machine is this machine. A venue
// starts and watches things; what is asked of them, and whether the answers
// allow a figure, is the controller's. It refuses nothing that a plan says: a
// plan is checked before.
package venue

import (
	"context"
	"errors"
	"time"

	"bakeoff/internal/collect"
	"bakeoff/internal/contract"
	"bakeoff/internal/database"
	"bakeoff/internal/dataset"
	"bakeoff/internal/plan"
	"bakeoff/internal/platform"
	"bakeoff/internal/record"
	"bakeoff/internal/target"
)

// A Venue is where the processes of one run live. Its methods are called from
// one goroutine, except for those of Host, which any goroutine may call, and Deploy,
// which is called for several targets at the same time.
type Venue interface {
	Host

	// Overhead is what a run costs in addition to its phases; it only serves to say so beforehand.
	Overhead() plan.Overhead
	// Missing is what the venue lacks to run the plan with these recipes.
	Missing(ctx context.Context, p *plan.Plan, recipes []*target.Recipe) ([]target.Need, error)
	// Prepare readies a recipe, once for all its replicas; progress is called as target.Preparation says.
	Prepare(ctx context.Context, r *target.Recipe, progress func(text string, passing bool)) (*target.Prepared, error)
	// Programs are those that a run of the plan starts in addition to the targets, this one of the given version among them.
	Programs(ctx context.Context, p *plan.Plan, version string) ([]record.Program, error)
	// Balancer describes what Deploy puts before the replicas.
	Balancer(ctx context.Context, p *plan.Plan) (record.BalancerInfo, error)
	// Database starts or opens the plan's database, not yet filled.
	Database(ctx context.Context, s Storage) (Database, error)
	// Deploy, which any goroutine may call, starts a target and returns once it is ready and can be reached. What was
	// started is in the deployed target also when it returns an error; the caller stops it.
	Deploy(ctx context.Context, d Deployment) (Deployed, error)
	// Yardstick begins to time a fixed piece of work on every core, through a file of that name, until its
	// process is stopped. The source has no process where the venue has no yardstick.
	Yardstick(ctx context.Context, file string) (collect.Source, error)
	// Clock is the CPU time that the processes have used so far.
	Clock(pids []int) time.Duration
	// Sample begins to sample the processes of these sources and of the hosts at this interval; status
	// may be nil. sink is called from one goroutine.
	Sample(ctx context.Context, every time.Duration, sources []collect.Source, status collect.Status, sink func(record.Series) error) Sampler
}

// Host is what is known of the machines under the processes.
type Host interface {
	// Name is how run.json calls this kind of venue, such as "local".
	Name() string
	// Machine is what figures depend on; its fingerprint distinguishes two venues.
	Machine() record.Machine
	// Nodes are the machines of a cluster that processes of the run have been on so far, by name; nil where there is one machine, which
	// Machine describes.
	Nodes() []record.Node
	// Hidden says that other processes may use the machines that samples cannot see: those outside a
	// container.
	Hidden() bool
	// Room is how many bytes may still be written where dir is, or would be made; -1: not known.
	Room(dir string) int64
	// Lost says that the venue has lost the means to run and to end processes, and why; nil while it has them.
	Lost() error
	// Others names the other runs that have shared the venue with this one so far.
	Others() []string
	// Temporary makes a folder for work without a run directory ("verify", "data", "load"). It is known as
	// ours while this process lives, so that others do not sweep it away. remove removes it.
	Temporary(use string) (dir string, remove func() error, err error)
}

// Storage is a database to start or open.
type Storage struct {
	Plan        plan.Database
	AllowHosts  []string         // consent for an external one
	Dir         string           // of the run; a private one gets a folder in it
	Dataset     *dataset.Dataset // that it will be filled with
	Connections int              // that the targets may open together
	Less        database.Less
}

// Database holds the table. *database.Server is one.
type Database interface {
	contract.Fixture
	// Fill makes the table hold exactly the rows.
	Fill(ctx context.Context, rows *dataset.Dataset, progress func(done, total int64)) (database.Filled, error)
	Info(ctx context.Context) (database.Info, error)
	// Check compares the table with the rows, quickly; Digest reads the whole of it.
	Check(ctx context.Context, rows *dataset.Dataset) error
	Digest(ctx context.Context) (string, error)
	// Alone is how long a lookup takes that is prepared, while nothing else is asked: the lower quartile of those of names.
	Alone(ctx context.Context, names []string) (time.Duration, error)
	// Status are gauges for samples. Connections are how many the targets have open, by account, ConnectionCount those of all.
	Status(ctx context.Context) (map[string]float64, error)
	Connections(ctx context.Context) (map[string]int, error)
	ConnectionCount(ctx context.Context) (int, error)
	// Account makes the account by which the target of one trial reaches it, which is logged in to once. Retire ends its
	// connections and the account; Opens is database.ErrAccount where it is not as it was given out.
	Account(ctx context.Context) (database.Account, error)
	Opens(ctx context.Context, a database.Account) error
	Retire(ctx context.Context, a database.Account) error
	// Busy are the sessions of targets on which statements run, Locking those that hold locks on rows. End ends sessions.
	Busy(ctx context.Context) ([]database.Session, error)
	Locking(ctx context.Context) ([]database.Session, error)
	End(ctx context.Context, sessions []database.Session) error
	// BeginMoves keeps what rows are that are about to change, unless the table is somebody else's (database.ErrNotOurs). Move changes
	// some of them at once, UndoMoves puts all back.
	BeginMoves(ctx context.Context, moves []dataset.Move) error
	Move(ctx context.Context, moves ...dataset.Move) error
	UndoMoves(ctx context.Context) error
	// Tidy removes rows that are not the dataset's.
	Tidy(ctx context.Context) error
	// Process is nil where it is somebody else's.
	Process() platform.Process
	Stop(ctx context.Context, grace time.Duration) error
}

// Deployment is one target to start.
type Deployment struct {
	Target   plan.Target
	Prepared *target.Prepared
	plan.Deployment
	Balancer plan.Balancer
	InFlight int    // the most requests at a time
	Nonce    string // that every replica answers with
	Database database.Access
	Luck     record.Luck // an empty order is that of the numbers
	LogDir   string
	Trust    plan.Trust // what of it is about accounts and processes
}

// Deployed is one target that was started. Only Requests, LogLines and CountConnections
// may be called while another method runs on it. Stop and Redraw of several targets are called
// at the same time. Stop may be called again.
type Deployed interface {
	// URLs are where requests go: the balancer's, or those of the replicas.
	URLs() []string
	// Dial is where connections to each URL are made, as host:port; nil: where the URLs say.
	Dial() []string
	// Replicas are the started copies, with the processes that said they are ready.
	Replicas() []record.Replica
	// Requests is how many requests the balancer has taken, or -1 where nothing counts.
	Requests(ctx context.Context) (int64, error)
	// LogLines is how many lines the replicas have written to their logs since the start.
	LogLines() (int64, error)
	// CountConnections notes in Replicas how many client connections each worker holds now.
	CountConnections() error
	// Freeze holds every process of the replicas still until Thaw; ErrNoFreezing where that cannot be had.
	Freeze(ctx context.Context) error
	Thaw(ctx context.Context) error
	// Redraw has the balancer close its connections to the replicas, and those of clients to it. It is to be called while
	// nothing is under way, and returns when new ones are opened instead.
	Redraw(ctx context.Context) error
	// Intact fails when a process that was ready is not there any more.
	Intact() error
	Sources() []collect.Source
	// Commands are lines by which a user can start each process again.
	Commands() []string
	Stop(ctx context.Context, grace time.Duration) error
}

// ErrNoFreezing is returned by Freeze and Thaw where processes cannot be held still.
var ErrNoFreezing = errors.New("processes cannot be frozen here")

// ErrPlacement is wrapped by errors of Deploy and Intact where processes are not, or not any more, where and what they have to be.
var ErrPlacement = errors.New("placement")

// ErrNoRoom is wrapped by errors of Deploy where the venue has no room for the target next to all that is there.
var ErrNoRoom = errors.New("no room")

// Sampler samples until it is stopped.
type Sampler interface {
	// Phase says which phase is under way, -1 for none, and takes a sample at once.
	Phase(number int)
	// Stop returns the first error of the sink.
	Stop() error
}
