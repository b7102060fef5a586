package cli_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSecretAndKeep leaves a trial running, starts a replica by its printed
// line, and looks for the database's password wherever it must not be.
func TestSecretAndKeep(t *testing.T) {
	s := newScene(t)
	s.write("p.yaml", planText("flask", 1, "warmup: 0s"))
	e := s.start("run", "--keep", "p.yaml")
	for _, part := range []string{"is left running until you interrupt", "env -i ", "mariadbd --defaults", "nginx -"} {
		e.awaitPrinted(part)
	}
	line := lineWith(t, e.stderr.String(), "env -i ")
	file := regexp.MustCompile(`DATABASE_PASSWORD="\$\(cat ([^)]+)\)"`).FindStringSubmatch(line)
	if file == nil {
		t.Fatalf("no password file in %s", line)
	}
	content, err := os.ReadFile(file[1])
	password := strings.TrimSpace(string(content))
	if err != nil || len(password) < 16 {
		t.Fatalf("password file: %d bytes, %v", len(content), err)
	}
	pasted(t, s, line)
	for part, check := range map[string]string{"nginx -": " -t", "mariadbd --defaults": " --verbose --help"} {
		line := lineWith(t, e.stderr.String(), part)
		if out, err := exec.Command("sh", "-c", line+check).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%.500s", line, err, out)
		}
	}
	e.signal(syscall.SIGINT)
	e.wantStatus(130, 15*time.Second)
	e.nothingLeft(0)
	s.noFiles()
	if _, err := os.Stat(file[1]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the password file %s is left after the run: %v", file[1], err)
	}

	hidden(t, "stdout", []byte(e.stdout.String()), password)
	hidden(t, "stderr", []byte(e.stderr.String()), password)
	lines := e.watcher.commandLines()
	if !strings.Contains(strings.Join(lines, "\n"), "gunicorn") {
		t.Error("the watcher saw no gunicorn: it proves nothing")
	}
	for _, line := range lines {
		hidden(t, "a command line", []byte(line), password)
	}
	files := 0
	err = filepath.WalkDir(s.theRun(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		hidden(t, path, data, password)
		return err
	})
	if err != nil || files < 10 {
		t.Errorf("%d files read: %v", files, err)
	}
	for _, format := range []string{"text", "markdown", "json"} {
		hidden(t, format, []byte(s.run(0, "report", "--format", format, s.theRun()).stdout.String()), password)
	}
}

func hidden(t *testing.T, what string, data []byte, password string) {
	t.Helper()
	if bytes.Contains(data, []byte(password)) {
		t.Errorf("the password is in %s", what)
	}
}

// lineWith returns the printed line that holds a text.
func lineWith(t *testing.T, text, part string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no line with %q:\n%s", part, text)
	return ""
}

// pasted runs the printed line of a replica in a shell, on another port, and asks it.
func pasted(t *testing.T, s *scene, line string) {
	t.Helper()
	port := freePort(t)
	line = regexp.MustCompile(` PORT=\d+`).ReplaceAllString(line, " PORT="+port)
	stop := shell(t, s, line)
	defer stop()
	deadline := time.Now().Add(30 * time.Second)
	for {
		answer, err := ask("http://127.0.0.1:" + port + "/demo?name=nobody")
		if err == nil && strings.Contains(answer, `"exists"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the pasted line does not serve: %q, %v\n%s", answer, err, line)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func ask(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// shell starts a line in a shell of its own process group; the returned
// function ends all of it.
func shell(t *testing.T, s *scene, line string) func() {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = s.dir
	var log buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s", &log)
		}
	}
}
