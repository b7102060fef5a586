// Package image makes the container image of this program without a daemon: the program, and the libraries that it is
// linked to, on nothing; and that of JMeter: the program and a JMeter on an image that has Java. The same program gives the same
// image, to the byte. It refuses a program for another system than Linux, a base for another machine, and a folder that holds
// something else.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Program is where an image has the program, which is what it starts.
const Program = "/bakeoff"

// User runs it: no name, so that a cluster sees that it is not root.
const User = "10001:10001"

// ErrNotLinux is returned for a program that no container can run.
var ErrNotLinux = errors.New("is not a program for Linux")

// Image is one that is not written or pushed yet.
type Image = v1.Image

// Build makes the image of a program.
func Build(program string) (v1.Image, error) {
	img, err := build(program)
	if err != nil {
		return nil, fmt.Errorf("image: %s: %w", program, err)
	}
	return img, nil
}

func build(program string) (v1.Image, error) {
	arch, files, err := parts(program)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = add(img, files, types.OCILayer); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = v1.Config{
		Entrypoint: []string{Program}, User: User, WorkingDir: "/tmp",
		// The resolver of Go asks no library of the system.
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "GODEBUG=netdns=go"},
	}
	return mutate.ConfigFile(img, config)
}

// add puts a layer of files onto an image.
func add(img v1.Image, files []file, kind types.MediaType) (v1.Image, error) {
	packed, err := pack(files)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(kind))
	if err != nil {
		return nil, err
	}
	return mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: kind, History: v1.History{CreatedBy: "bakeoff image"}})
}

// file is one in the image: where it is there, and here.
type file struct{ to, from string }

// parts are the program and what it is linked to, and the architecture that it is for.
func parts(program string) (arch string, files []file, err error) {
	binary, err := elf.Open(program)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrNotLinux, err)
	}
	defer binary.Close()
	arch, known := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[binary.Machine]
	if !known {
		return "", nil, fmt.Errorf("%s is no machine that images are made for", binary.Machine)
	}
	files = []file{{Program, program}}
	interpreter, err := interpreterOf(binary)
	if err != nil || interpreter == "" {
		return arch, files, err
	}
	libraries, err := librariesOf(binary, arch)
	return arch, slices.Concat(files, []file{{interpreter, interpreter}}, libraries), err
}

// interpreterOf is the loader of a dynamically linked program, or "".
func interpreterOf(binary *elf.File) (string, error) {
	for _, p := range binary.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := io.ReadAll(p.Open())
		return strings.TrimRight(string(text), "\x00"), err
	}
	return "", nil
}

// librariesOf finds the libraries of a program, and theirs, where the loader looks without a cache.
func librariesOf(binary *elf.File, arch string) ([]file, error) {
	triple := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[arch]
	wanted, err := binary.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	var out []file
	for seen := map[string]bool{}; len(wanted) > 0; wanted = wanted[1:] {
		if seen[wanted[0]] {
			continue
		}
		seen[wanted[0]] = true
		at, more, err := library(wanted[0], "/lib/"+triple, "/usr/lib/"+triple, "/lib64", "/usr/lib64", "/lib", "/usr/lib")
		if err != nil {
			return nil, err
		}
		out, wanted = append(out, file{at, at}), append(wanted, more...)
	}
	return out, nil
}

// library finds one, and what it needs itself.
func library(soname string, dirs ...string) (at string, needs []string, err error) {
	for _, dir := range dirs {
		at = path.Join(dir, soname)
		lib, err := elf.Open(at)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", at, err)
		}
		defer lib.Close()
		needs, err = lib.ImportedLibraries()
		return at, needs, err
	}
	return "", nil, fmt.Errorf("it needs the library %s, which is not here (a program built with CGO_ENABLED=0 needs none)", soname)
}

// pack puts the files into a layer, with no time in it and a folder for what is temporary.
func pack(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	folders := map[string]bool{"/": true}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.to, b.to) })
	for _, f := range files {
		if err := folder(w, path.Dir(f.to), folders); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(f.from)
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.to, "/"), Mode: 0o755, Size: int64(len(data))}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// folder writes a folder and those that it is in, once.
func folder(w *tar.Writer, dir string, written map[string]bool) error {
	if written[dir] {
		return nil
	}
	written[dir] = true
	if err := folder(w, path.Dir(dir), written); err != nil {
		return err
	}
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755})
}

// Write writes the image as an OCI layout into a folder that is empty or not there yet, and returns its digest.
func Write(dir string, img v1.Image) (digest string, err error) {
	if err := vacant(dir); err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	at, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = at.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "bakeoff"}))
	}
	if err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	return digestOf(img)
}

// vacant refuses a folder in which there is something.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty: it has %s", dir, filepath.Join(dir, entries[0].Name()))
	}
	return nil
}

// Push puts the image into a registry, with what the user is logged in to it, and returns its digest.
func Push(ctx context.Context, reference string, img v1.Image) (digest string, err error) {
	tag, err := name.NewTag(reference, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	if err := remote.Write(tag, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return "", fmt.Errorf("image: push to %s: %w", tag, err)
	}
	return digestOf(img)
}

func digestOf(img v1.Image) (string, error) {
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("image: %w", err)
	}
	return digest.String(), nil
}
