package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bakeoff/internal/image"
	"bakeoff/internal/jmeter"
	"bakeoff/internal/venue/machine"
)

// imageFlags say what becomes an image, and where it goes.
type imageFlags struct{ out, push, program, jmeter string }

func imageCommand(env Env) *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use:   "image",
		Short: "make a container image of this program",
		Long: `image makes a container image of this program for clusters; it needs no docker. It is written as a
folder in the OCI layout, which skopeo, podman and crane read, or pushed to a registry, with what docker or podman
are logged in to. The same program gives the same image. The digest is printed.

  bakeoff image --out bakeoff.oci
  bakeoff image --push registry.example/bakeoff/bakeoff:1

With --jmeter it is the image of JMeter for plans that use it: this program and JMeter on an image that has Java 8 or
later and a shell, which is read from its registry. JMeter is that of JMETER_HOME, else bakeoff puts it together by Maven.

  bakeoff image --jmeter eclipse-temurin:17-jre --push registry.example/bakeoff/jmeter:1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return makeImage(cmd.Context(), env, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "folder to write the image into; it must be empty")
	flags.StringVar(&f.push, "push", "", "reference to push the image to, with a tag")
	flags.StringVar(&f.jmeter, "jmeter", "", "make the image of JMeter on this one, which has Java")
	flags.StringVar(&f.program, "program", "", "a bakeoff for Linux (default: this program)")
	return cmd
}

func makeImage(ctx context.Context, env Env, f imageFlags) error {
	if (f.out == "") == (f.push == "") {
		return misused("such as --out bakeoff.oci", "image needs either --out or --push")
	}
	program := f.program
	if program == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("own path: %w", err)
		}
		program = self
	}
	img, err := f.build(ctx, env, program)
	if err != nil {
		return err
	}
	var digest string
	if f.out != "" {
		digest, err = image.Write(f.out, img)
	} else {
		digest, err = image.Push(ctx, f.push, img)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, digest)
	return nil
}

// build makes the image of the program, or that of JMeter.
func (f imageFlags) build(ctx context.Context, env Env, program string) (image.Image, error) {
	if f.jmeter == "" {
		return image.Build(program)
	}
	base, err := image.Pull(ctx, f.jmeter, program)
	if err != nil {
		return nil, err
	}
	home, err := jmeterHere(ctx, env)
	if err != nil {
		return nil, err
	}
	return image.JMeter(base, program, home.Dir)
}

// jmeterHere is the JMeter that runs on this machine have.
func jmeterHere(ctx context.Context, env Env) (home jmeter.Home, err error) {
	cache, err := cacheDir(env)
	if err != nil {
		return home, err
	}
	here := &machine.Venue{CacheDir: cache}
	closeMachine, err := openMachine(ctx, env, here, true, "image")
	if err != nil {
		return home, err
	}
	home, err = jmeter.Prepare(ctx, jmeter.Preparation{
		CacheDir: cache, Platform: here.Platform, Getenv: env.Getenv, Progress: func(text string) { fmt.Fprintf(env.Stderr, "bakeoff: %s\n", text) },
	})
	return home, errors.Join(err, closeMachine())
}
