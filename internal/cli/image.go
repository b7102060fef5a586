package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bakeoff/internal/image"
)

// imageFlags say what becomes an image, and where it goes.
type imageFlags struct{ out, push, program string }

func imageCommand(env Env) *cobra.Command {
	var f imageFlags
	cmd := &cobra.Command{
		Use:   "image",
		Short: "make a container image of this program",
		Long: `image makes a container image of this program for clusters; it needs no docker. It is written as a
folder in the OCI layout, which skopeo, podman and crane read, or pushed to a registry, with what docker or podman
are logged in to. The same program gives the same image. The digest is printed.

  bakeoff image --out bakeoff.oci
  bakeoff image --push registry.example/bakeoff/bakeoff:1`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return makeImage(cmd.Context(), env, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.out, "out", "", "folder to write the image into; it must be empty")
	flags.StringVar(&f.push, "push", "", "reference to push the image to, with a tag")
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
	img, err := image.Build(program)
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
