package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// jmeterHome is where the image of JMeter has it, as its JMETER_HOME says.
const jmeterHome = "/jmeter"

// Pull reads an image from a registry, with what the user is logged in to it, for the machine of a program.
func Pull(ctx context.Context, reference, program string) (v1.Image, error) {
	arch, _, err := parts(program)
	if err != nil {
		return nil, fmt.Errorf("image: %s: %w", program, err)
	}
	at, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	img, err := remote.Image(at, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
	if err != nil {
		return nil, fmt.Errorf("image: pull %s: %w", at, err)
	}
	return img, nil
}

// JMeter puts the program and the JMeter of a folder onto an image that has Java.
func JMeter(base v1.Image, program, home string) (v1.Image, error) {
	img, err := withJMeter(base, program, home)
	if err != nil {
		return nil, fmt.Errorf("image of JMeter: %w", err)
	}
	return img, nil
}

func withJMeter(base v1.Image, program, home string) (v1.Image, error) {
	arch, files, err := parts(program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	config, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	if config.OS != "linux" || config.Architecture != arch {
		return nil, fmt.Errorf("the base is for %s on %s, and the program for linux on %s", config.OS, config.Architecture, arch)
	}
	if len(files) > 1 { // its libraries would take the place of the base's
		return nil, errors.New("the program is linked to libraries of this machine: build it with CGO_ENABLED=0, as make build does, or name one that is with --program")
	}
	more, err := folderFiles(home, jmeterHome)
	if err != nil {
		return nil, err
	}
	kind, err := base.MediaType()
	if err != nil {
		return nil, err
	}
	layer := types.OCILayer
	if kind == types.DockerManifestSchema2 {
		layer = types.DockerLayer
	}
	img, err := add(base, slices.Concat(files, more), layer)
	if err != nil {
		return nil, err
	}
	return mutate.Config(img, ofJMeter(config.Config))
}

// ofJMeter is how the image is started, with what the base says of its Java.
func ofJMeter(base v1.Config) v1.Config {
	out := *base.DeepCopy()
	out.Entrypoint, out.Cmd, out.User, out.WorkingDir = []string{Program}, nil, User, "/tmp"
	ours := []string{"JMETER_HOME=" + jmeterHome, "HOME=/tmp", "GODEBUG=netdns=go"}
	out.Env = slices.DeleteFunc(out.Env, func(entry string) bool {
		key, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(ours, func(our string) bool { return strings.HasPrefix(our, key+"=") })
	})
	out.Env = append(out.Env, ours...)
	return out
}

// folderFiles are all files of a folder, to be in another one of an image.
func folderFiles(dir, to string) (out []file, err error) {
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no ordinary file", at)
		}
		below, err := filepath.Rel(dir, at)
		out = append(out, file{path.Join(to, filepath.ToSlash(below)), at})
		return err
	})
	return out, err
}
