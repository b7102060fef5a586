package jmeter

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"bakeoff/internal/platform"
	"bakeoff/internal/target"
)

// Version of the JMeter that is used, and no other.
const Version = "5.6.3"

// pom asks Maven for JMeter; jarSums are the files that it must give, as sha256sum writes them.
//
//go:embed pom.xml
var pom []byte

//go:embed jars.sha256
var jarSums []byte

// Home is a JMeter ready to be started.
type Home struct {
	Dir    string
	Digest string // of its jars
	Given  bool   // it is JMETER_HOME
}

// Jar is what java is started with.
func (h Home) Jar() string { return filepath.Join(h.Dir, "bin", "ApacheJMeter.jar") }

// Missing is what the machine lacks to run JMeter: a Java, and Maven where JMeter is not there yet.
func Missing(ctx context.Context, cacheDir string, getenv func(string) string) []target.Need {
	var out []target.Need
	if _, err := FindJava(ctx, getenv); err != nil {
		out = append(out, target.Need{What: fmt.Sprintf("Java %d or later for JMeter: %v", oldestJava, err), Package: "default-jre-headless"})
	}
	if given := getenv("JMETER_HOME"); given != "" {
		if _, err := givenHome(given); err != nil {
			out = append(out, target.Need{What: err.Error()})
		}
		return out
	}
	if _, err := os.Stat(filepath.Join(cachedHome(cacheDir), doneFile)); err == nil {
		return out
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		out = append(out, target.Need{What: "Maven, which brings JMeter " + Version + " (or set JMETER_HOME)", Package: "maven"})
	}
	return out
}

const (
	doneFile = "done" // written last: the digest of the jars
	mavenLog = "maven.log"
)

// Preparation says where and by what JMeter is put together.
type Preparation struct {
	CacheDir string
	Platform platform.Platform
	Getenv   func(string) string
	Progress func(text string)
}

// Prepare returns the JMeter of JMETER_HOME where that is set, else the one in the cache, which is put together
// first where it is not there yet. Its jars are compared with their digests each time.
func Prepare(ctx context.Context, o Preparation) (Home, error) {
	if dir := o.Getenv("JMETER_HOME"); dir != "" {
		return givenHome(dir)
	}
	home := Home{Dir: cachedHome(o.CacheDir), Digest: digestOf(jarSums)}
	if err := os.MkdirAll(filepath.Dir(home.Dir), 0o700); err != nil {
		return Home{}, fmt.Errorf("jmeter: %w", err)
	}
	held, err := lock(ctx, home.Dir+".lock")
	if err != nil {
		return Home{}, fmt.Errorf("jmeter: %w", err)
	}
	defer held.Close()
	if _, err := os.Stat(filepath.Join(home.Dir, doneFile)); err == nil && verify(home.Dir) == nil {
		return home, nil
	}
	if err := o.assemble(ctx, home); err != nil {
		return Home{}, fmt.Errorf("jmeter: put together %s: %w", home.Dir, err)
	}
	return home, nil
}

// there is the JMeter that Prepare would return, as far as it is there already; without a folder where it is not.
func there(cacheDir string, getenv func(string) string) Home {
	if dir := getenv("JMETER_HOME"); dir != "" {
		home, err := givenHome(dir)
		if err != nil {
			return Home{}
		}
		return home
	}
	home := Home{Dir: cachedHome(cacheDir)}
	if _, err := os.Stat(filepath.Join(home.Dir, doneFile)); err != nil {
		return Home{}
	}
	return home
}

// cachedHome is a folder for this version, these artifacts and these digests.
func cachedHome(cacheDir string) string {
	return filepath.Join(cacheDir, "jmeter", Version+"-"+digestOf(pom, jarSums)[:12])
}

func digestOf(parts ...[]byte) string {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return hex.EncodeToString(sum[:])
}

// lock waits for a file's lock, which ends when the file is closed or the process ends.
func lock(ctx context.Context, name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = platform.Await(ctx, nil, func(context.Context) (bool, error) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return file, nil
}

// assemble fetches the artifacts and lays them out as JMeter looks for them.
func (o Preparation) assemble(ctx context.Context, home Home) error {
	if o.Progress != nil {
		o.Progress("fetching JMeter " + Version + " by Maven")
	}
	if err := os.RemoveAll(home.Dir); err != nil {
		return err
	}
	all := filepath.Join(home.Dir, "all")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home.Dir, "pom.xml"), pom, 0o600); err != nil {
		return err
	}
	if err := o.maven(ctx, home.Dir, all); err != nil {
		return err
	}
	if err := layOut(home.Dir, all); err != nil {
		return err
	}
	if err := verify(home.Dir); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home.Dir, doneFile), []byte(home.Digest+"\n"), 0o600)
}

// maven copies the artifacts into a folder.
func (o Preparation) maven(ctx context.Context, dir, all string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("there is no mvn on PATH")
	}
	log := filepath.Join(dir, mavenLog)
	process, err := o.Platform.Start(ctx, platform.Spec{
		Name: "jmeter-maven", Dir: dir, Log: log, Env: o.environment(),
		Argv: []string{mvn, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=" + all, "-DincludeScope=runtime"},
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), process.Stop(context.WithoutCancel(ctx), 0))
	case <-process.Done():
	}
	if exit := process.Exit(); exit.Code != 0 {
		return fmt.Errorf("mvn: %s: %s", exit, platform.LogTail(log))
	}
	return nil
}

// environment is what Maven needs to find its settings and its way.
func (o Preparation) environment() []string {
	var out []string
	for _, name := range []string{"PATH", "HOME", "JAVA_HOME", "M2_HOME", "MAVEN_OPTS", "MAVEN_ARGS", "http_proxy", "https_proxy", "no_proxy"} {
		if value := o.Getenv(name); value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}

// layOut moves the jars to where JMeter looks for them, and unpacks its settings.
func layOut(dir, all string) error {
	for _, folder := range []string{"lib/ext", "lib/junit", "bin"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	for name := range sums() {
		if err := os.Rename(filepath.Join(all, name), filepath.Join(dir, placeOf(name))); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(all); err != nil {
		return err
	}
	return unpackSettings(filepath.Join(dir, placeOf(settingsJar)), dir)
}

const settingsJar = "ApacheJMeter_config-" + Version + ".jar"

// placeOf is where a jar is in a home.
func placeOf(name string) string {
	switch {
	case name == "ApacheJMeter-"+Version+".jar":
		return "bin/ApacheJMeter.jar"
	case name == settingsJar:
		return name // it is unpacked
	case strings.HasPrefix(name, "ApacheJMeter_"):
		return "lib/ext/" + name
	}
	return "lib/" + name
}

// unpackSettings writes the files of bin/ in a jar.
func unpackSettings(jar, dir string) (err error) {
	r, err := zip.OpenReader(jar)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range r.File {
		if !strings.HasPrefix(f.Name, "bin/") || strings.HasSuffix(f.Name, "/") || !filepath.IsLocal(f.Name) {
			continue
		}
		if err := unpack(f, filepath.Join(dir, f.Name)); err != nil {
			return err
		}
	}
	return nil
}

func unpack(f *zip.File, to string) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, 16<<20))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// sums are the jars and their digests.
func sums() map[string]string {
	out := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(jarSums)); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		out[name] = sum
	}
	return out
}

// verify compares every jar of a home that was put together here with its digest.
func verify(dir string) error {
	want := sums()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, err := fileDigest(filepath.Join(dir, placeOf(name)))
		if err != nil {
			return err
		}
		if got != want[name] {
			return fmt.Errorf("%s is not the file it should be: its SHA-256 is %s, not %s", name, got, want[name])
		}
	}
	return nil
}

func fileDigest(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close() // opened for reading
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// givenHome is a JMeter that somebody else has put there, if it has the right version.
func givenHome(dir string) (Home, error) {
	home := Home{Dir: dir, Given: true}
	version, err := versionOf(home.Jar())
	if err != nil {
		return Home{}, fmt.Errorf("JMETER_HOME is %s, which is no JMeter: %w", dir, err)
	}
	if version != Version {
		return Home{}, fmt.Errorf("JMETER_HOME is %s, which is JMeter %s: %s is needed", dir, version, Version)
	}
	home.Digest, err = jarsDigest(dir)
	return home, err
}

// versionOf reads the version in a jar's manifest.
func versionOf(jar string) (string, error) {
	r, err := zip.OpenReader(jar)
	if err != nil {
		return "", err
	}
	defer r.Close()
	manifest, err := fs.ReadFile(r, "META-INF/MANIFEST.MF")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(manifest)) {
		if version, ok := strings.CutPrefix(line, "Implementation-Version: "); ok {
			return strings.TrimSpace(version), nil
		}
	}
	return "", errors.New("its manifest names no version")
}

// jarsDigest is a digest over all jars of a home and their places.
func jarsDigest(dir string) (string, error) {
	h, jars := sha256.New(), 0
	real, err := filepath.EvalSymlinks(dir) // a link is not followed by WalkDir
	if err != nil {
		return "", err
	}
	err = filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".jar") || d.IsDir() {
			return err
		}
		sum, err := fileDigest(path)
		at, _ := filepath.Rel(real, path)
		fmt.Fprintf(h, "%s  %s\n", sum, at)
		jars++
		return err
	})
	if err == nil && jars == 0 {
		err = fmt.Errorf("%s has no jar", dir)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}
