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
// no node_modules, which the patterns leave out as a name with n but without a dot.
//
//go:embed targets/*/[a-mo-zA-Z0-9]* targets/*/[a-zA-Z0-9]*.* plans/*.yaml
var assets embed.FS

func main() {
	os.Exit(cli.Main(context.Background(), cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Assets: assets, Getenv: os.Getenv,
	}))
}
