package image_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"bakeoff/internal/image"
)

// static is a program that is linked to nothing.
func static(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module nothing\n", "main.go": "package main\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "program", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "program")
}

// The image of JMeter has the program, JMeter, and what the base says of its Java; it comes from a registry, and goes to one.
func TestJMeter(t *testing.T) {
	program, home := static(t), t.TempDir()
	for _, name := range []string{"bin/ApacheJMeter.jar", "lib/ext/more.jar"} {
		at := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base, err := image.Build(program)
	if err != nil {
		t.Fatal(err)
	}
	given := v1.Config{Env: []string{"JAVA_HOME=/java", "HOME=/root", "PATH=/java/bin:/bin"}, Cmd: []string{"jshell"}, Labels: map[string]string{"base": "yes"}}
	if base, err = mutate.Config(base, given); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	if _, err := image.Push(t.Context(), at+"/java:17", base); err != nil {
		t.Fatal(err)
	}
	pulled, err := image.Pull(t.Context(), at+"/java:17", program)
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.JMeter(pulled, program, home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Push(t.Context(), at+"/jmeter:1", img); err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	want := []string{"JAVA_HOME=/java", "PATH=/java/bin:/bin", "JMETER_HOME=/jmeter", "HOME=/tmp", "GODEBUG=netdns=go"}
	if !slices.Equal(c.Env, want) || len(c.Cmd) > 0 || c.User != image.User || c.Labels["base"] != "yes" || !slices.Equal(c.Entrypoint, []string{image.Program}) {
		t.Errorf("%+v", c)
	}
	root := t.TempDir()
	unpack(t, img, root)
	for _, name := range []string{"bakeoff", "jmeter/bin/ApacheJMeter.jar", "jmeter/lib/ext/more.jar"} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Mode().Perm()&0o005 != 0o005 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	notJMeter(t, base, program, home, at)
}

// notJMeter wants errors where there is no image, or one that would not run.
func notJMeter(t *testing.T, base v1.Image, program, home, at string) {
	t.Helper()
	if _, err := image.Pull(t.Context(), at+"/none:1", program); err == nil || !strings.Contains(err.Error(), "/none:1") {
		t.Errorf("an image that is not there: %v", err)
	}
	config, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture = "s390x"
	other, err := mutate.ConfigFile(base, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.JMeter(other, program, home); err == nil || !strings.Contains(err.Error(), "s390x") {
		t.Errorf("a base for another machine: %v", err)
	}
	if _, err := image.JMeter(base, program, filepath.Join(home, "none")); err == nil {
		t.Error("no JMeter: no error")
	}
}
