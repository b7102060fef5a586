// Command bakeoff runs bake-offs of web frameworks: it starts a database,
// starts each framework in replicas behind a balancer, checks their answers,
// loads them from several agents, watches every tier, and tears all of it down.
package main

import (
	"context"
	"embed"
	"os"

	"bakeoff/internal/cli"
)

// What is carried of targets/ is what the digest of a target covers: no name that begins with . or _, and
// no node_modules, which the patterns leave out as a name with n but without a dot. The source files are what a
// calibration measures: by them it is known whether it still holds.
//
//go:embed targets/*/[a-mo-zA-Z0-9]* targets/*/[a-zA-Z0-9]*.* plans/*.yaml
//go:embed internal/fleet/agent.go internal/fleet/cert.go internal/fleet/clock.go internal/fleet/doc.go
//go:embed internal/fleet/fleet.go internal/fleet/lease.go internal/fleet/message.go
//go:embed internal/fleet/priority_linux.go internal/fleet/priority_other.go internal/fleet/run.go
//go:embed internal/fleet/sequence.go internal/fleet/session.go internal/fleet/turn.go internal/fleet/turns.go
//go:embed internal/fleet/work.go
//go:embed internal/load/book.go internal/load/class.go internal/load/collector.go internal/load/conn.go
//go:embed internal/load/cpu.go internal/load/explain.go internal/load/http.go internal/load/http2.go
//go:embed internal/load/http_slices.go internal/load/idle.go internal/load/job.go internal/load/ledger.go
//go:embed internal/load/load.go internal/load/loop_linux.go internal/load/memo.go internal/load/models.go
//go:embed internal/load/pace.go internal/load/pace_linux.go internal/load/pace_other.go
//go:embed internal/load/parser.go internal/load/places.go internal/load/poll_linux.go
//go:embed internal/load/quota_linux.go internal/load/raw_linux.go internal/load/raw_other.go
//go:embed internal/load/rawconn_linux.go internal/load/ring.go internal/load/schedule.go
//go:embed internal/load/slice.go internal/load/spread.go internal/load/tls.go internal/load/watch.go
//go:embed internal/load/watch_linux.go internal/load/watch_other.go
//go:embed internal/null/null.go
//go:embed internal/splitmix/key.go internal/splitmix/splitmix.go
//go:embed internal/stats/books.go internal/stats/decode.go internal/stats/encode.go internal/stats/hdr.go
//go:embed internal/stats/histogram.go internal/stats/histogram_json.go internal/stats/moves.go
//go:embed internal/stats/recorder.go internal/stats/resources.go internal/stats/stats.go
//go:embed internal/stats/summary.go internal/stats/totals.go internal/stats/window.go
var assets embed.FS

func main() {
	os.Exit(cli.Main(context.Background(), cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Assets: assets, Getenv: os.Getenv,
	}))
}
