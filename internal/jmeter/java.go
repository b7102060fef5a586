package jmeter

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// oldestJava is the first Java that JMeter 5.6 runs on.
const oldestJava = 8

// Java is a Java runtime.
type Java struct {
	Path    string // of the program java
	Keytool string
	Version string // such as "17.0.15"
}

var javaVersion = regexp.MustCompile(`version "((?:1\.)?([0-9]+)[^"]*)"`)

// FindJava looks in JAVA_HOME where that is set, else on PATH. A Java that is too old or does not run is an
// error that names it.
func FindJava(ctx context.Context, getenv func(string) string) (Java, error) {
	path, err := javaProgram(getenv("JAVA_HOME"))
	if err != nil {
		return Java{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return Java{}, fmt.Errorf("java at %s does not run: %w: %s", path, err, firstLine(said))
	}
	found := javaVersion.FindSubmatch(said)
	if found == nil {
		return Java{}, fmt.Errorf("java at %s does not say its version, but %q", path, firstLine(said))
	}
	if major, err := strconv.Atoi(string(found[2])); err != nil || major < oldestJava {
		return Java{}, fmt.Errorf("java at %s has version %s: JMeter %s needs %d or later", path, found[1], Version, oldestJava)
	}
	keytool, err := keytoolOf(path)
	return Java{Path: path, Keytool: keytool, Version: string(found[1])}, err
}

func javaProgram(home string) (string, error) {
	if home == "" {
		path, err := exec.LookPath("java")
		if err != nil {
			return "", errors.New("there is no java on PATH")
		}
		return path, nil
	}
	path, err := exec.LookPath(filepath.Join(home, "bin", "java"))
	if err != nil {
		return "", fmt.Errorf("JAVA_HOME is %s, but there is no bin/java in it", home)
	}
	return path, nil
}

// keytoolOf is the keytool of the same Java, else the one on PATH.
func keytoolOf(java string) (string, error) {
	real, err := filepath.EvalSymlinks(java)
	if err != nil {
		real = java
	}
	if path, err := exec.LookPath(filepath.Join(filepath.Dir(real), "keytool")); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("keytool")
	if err != nil {
		return "", fmt.Errorf("java at %s has no keytool, and there is none on PATH", java)
	}
	return path, nil
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}
