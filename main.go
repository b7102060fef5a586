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

//go:embed all:targets plans/*.yaml
var assets embed.FS

func main() {
	os.Exit(cli.Main(context.Background(), cli.Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Assets: assets, Getenv: os.Getenv,
	}))
}
