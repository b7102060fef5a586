package image_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"bakeoff/internal/image"
)

// TestMain is what an image of this test starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "from an image" {
		if _, err := os.Stat("/etc/passwd"); err == nil {
			os.Exit(3) // this machine's
		}
		_, _ = os.Stdout.WriteString("runs\n")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func build(t *testing.T) v1.Image {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.Build(self)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// The image holds a valid configuration, is the same each time, and its program runs with nothing of this machine.
func TestImageRuns(t *testing.T) {
	img, dir := build(t), filepath.Join(t.TempDir(), "out")
	digest, err := image.Write(dir, img)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := build(t).Digest(); err != nil || again.String() != digest {
		t.Errorf("a second time the digest is %s, the first time %s (%v)", again, digest, err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != image.User || len(c.Entrypoint) != 1 || c.Entrypoint[0] != image.Program || config.OS != "linux" {
		t.Errorf("configuration %+v", config)
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can change the root folder of a process")
	}
	root := t.TempDir()
	unpack(t, img, root)
	cmd := exec.CommandContext(t.Context(), image.Program, "from an image")
	cmd.SysProcAttr, cmd.Dir, cmd.Env = &syscall.SysProcAttr{Chroot: root}, "/", config.Config.Env
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "runs\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func unpack(t *testing.T, img v1.Image, root string) {
	t.Helper()
	stream := mutate.Extract(img)
	defer stream.Close()
	files := tar.NewReader(stream)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(root, header.Name)
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, data, os.FileMode(header.Mode)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefused(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := image.Build(script); !errors.Is(err, image.ErrNotLinux) {
		t.Errorf("a script: %v", err)
	}
	if _, err := image.Write(filepath.Dir(script), build(t)); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder with a file: %v", err)
	}
}

// An image is pushed to a registry and comes back as it was.
func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/some/bakeoff:1"
	img := build(t)
	digest, err := image.Push(t.Context(), reference, img)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := img.Digest(); err != nil || digest != want.String() {
		t.Errorf("digest %s, want %s, %v", digest, want, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx       context.Context
		reference string
	}{"no tag": {t.Context(), strings.TrimSuffix(reference, ":1")}, "cancelled": {ctx, reference}} {
		if _, err := image.Push(c.ctx, c.reference, img); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
