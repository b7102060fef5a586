package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bakeoff/internal/record/recordtest"
)

// The first line of stdout is the address; what it leads to is the run, or the folder. Ctrl-C is no error.
func TestDashboardIsServed(t *testing.T) {
	dir := recordtest.Of(1, "flask").Write(t)
	for at, want := range map[string]string{dir: "/run/" + filepath.Base(dir) + "/", filepath.Dir(dir): "/history"} {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		done := make(chan int, 1)
		go func() {
			done <- Main(ctx, Env{Args: []string{"dashboard", at}, Stdout: in, Stderr: io.Discard, Getenv: os.Getenv})
			in.Close()
		}()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Get(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || answer.Request.URL.Path != want || !bytes.Contains(body, []byte(filepath.Base(dir))) {
			t.Errorf("%s: %s leads to %s: status %d (%v)", at, line, answer.Request.URL, answer.StatusCode, err)
		}
		stop()
		if status := <-done; status != exitDone {
			t.Errorf("exit status %d", status)
		}
	}
}

// The page of a run under way asks for the token that is set.
func TestPageOfRunHasToken(t *testing.T) {
	env := Env{Stderr: io.Discard, Getenv: func(name string) string { return map[string]string{pageTokenVariable: "0123456789abcdef"}[name] }}
	p, err := openPage(t.Context(), env, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close(env)
	with := p.server.URL()
	without, _, found := strings.Cut(with, "?")
	if !found {
		t.Fatalf("%s has no token", with)
	}
	for at, want := range map[string]int{with: http.StatusOK, without: http.StatusUnauthorized} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := (&http.Client{Jar: jar}).Get(at)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: status %d", at, answer.StatusCode)
		}
	}
	env.Getenv = func(string) string { return "short" }
	if _, err := openPage(t.Context(), env, t.TempDir()); exitStatus(err) != exitUsage {
		t.Errorf("a short token: %v", err)
	}
}

func TestDashboardMisused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"no-such-folder"}, {file}, {"a", "b"}, {"--listen", "nonsense", t.TempDir()}} {
		var stderr bytes.Buffer
		status := Main(t.Context(), Env{Args: append([]string{"dashboard"}, args...), Stdout: io.Discard, Stderr: &stderr, Getenv: os.Getenv})
		if status != exitUsage || !strings.HasPrefix(stderr.String(), "bakeoff: error: ") {
			t.Errorf("%v: status %d, %s", args, status, stderr.String())
		}
	}
}
