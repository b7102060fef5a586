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
//go:embed internal/balancer/*.go internal/balancer/nginx.conf.tmpl internal/calibrate/*.go internal/fleet/*.go internal/load/*.go
//go:embed internal/null/*.go internal/splitmix/*.go internal/stats/*.go
var assets embed.FS

func main() {
	os.Exit(cli.Main(context.Background(), cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Assets: assets, Getenv: os.Getenv,
	}))
}
