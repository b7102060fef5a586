package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLoadRequest(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	body := s.write("body", "from a file")
	once := []string{"--rate", "1", "--duration", "500ms"}
	s.load(append(once, "--body", "x=1", "-H", "X-Test: a: b", "-H", "host: www.example.org", server.URL+"/post?")...)
	s.load(append(once, "--body", "@"+body, "--method", "PUT", "--reconnect", server.URL+"/put")...)
	s.load(append(once, "--body", "", server.URL+"/empty")...)
	host := strings.TrimPrefix(server.URL, "http://")
	want := []string{`POST /empty ` + host + ` "" `, `POST /post? www.example.org "a: b" x=1`, `PUT /put ` + host + ` "" from a file`}
	if got := server.seen(); !slices.Equal(got, want) {
		t.Errorf("requests: %q, want %q", got, want)
	}
}

func TestLoadSeveralURLs(t *testing.T) {
	one, two, s := newLoadServer(t), newLoadServer(t), newScene(t)
	r := s.load("--connections", "4", "--duration", "300ms", one.URL+"/a", two.URL+"/b")
	if len(r.ByURL) != 2 || r.ByURL[1].URL != two.URL+"/b" || r.ByURL[0].Sent+r.ByURL[1].Sent != r.Sent || r.ByURL[0].Status["200"] != r.ByURL[0].OK || r.ByURL[0].Response["min"] == nil {
		t.Errorf("by URL: %+v", r.ByURL)
	}
	if !slices.Equal(r.URLs, []string{one.URL + "/a", two.URL + "/b"}) || r.Method != "GET" || r.Rate != nil || r.Opened < 2 || r.Opened > 4 || time.Since(r.Start) > time.Minute || r.Version == "" || r.Engine == "" {
		t.Errorf("%+v", r.loadJSON)
	}
	a, b := one.seen(), two.seen()
	if int64(len(a)+len(b)) != r.Sent || len(a) == 0 || len(b) == 0 || !strings.HasPrefix(a[0], "GET /a ") || !strings.HasPrefix(b[0], "GET /b ") {
		t.Errorf("%d and %d requests of %d", len(a), len(b), r.Sent)
	}
}

func TestLoadTLS(t *testing.T) {
	s := newScene(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	file := s.write("ca.pem", pemOf(server))
	r := s.load("--connections", "2", "--duration", "300ms", server.URL)
	if r.Error != r.Sent || r.Errors["certificate"] != r.Error || r.Error == 0 || !strings.Contains(r.Examples["certificate"], "x509: certificate signed by unknown authority") {
		t.Errorf("an unknown authority: %+v", r.loadJSON)
	}
	text := s.loadText("-c", "1", "-d", "200ms", server.URL)
	wantAll(t, "text", text, "this program's", "(--cacert, --insecure; --cert and --key)", "    certificate: ", "x509: certificate signed by unknown authority")
	for _, trust := range [][]string{{"--cacert", "ca.pem"}, {"--insecure", "--agents", "2"}, {"--cacert", "ca.pem", "--agents", "2"}} {
		if r = s.load(append(trust, "-c", "2", "-d", "200ms", server.URL)...); r.OK != r.Sent || r.OK == 0 {
			t.Errorf("%v: %+v", trust, r.loadJSON)
		}
	}
	s.env = append(s.env, "SSL_CERT_FILE="+file)
	for _, agents := range []string{"1", "2"} {
		r = s.load("--connections", "2", "--duration", "300ms", "--agents", agents, server.URL)
		if r.OK != r.Sent || r.OK == 0 {
			t.Errorf("a known authority, agents %s: %+v", agents, r.loadJSON)
		}
	}
	// The certificate is good for example.com: the name that is asked for goes into the handshake.
	if r = s.load("--connections", "2", "--duration", "300ms", "-H", "Host: example.com", server.URL); r.OK != r.Sent || r.OK == 0 {
		t.Errorf("under its name: %+v", r.loadJSON)
	}
	if r = s.load("--connections", "2", "--duration", "300ms", "-H", "Host: example.net", server.URL); r.Errors["tls"] != r.Sent {
		t.Errorf("under a foreign name: %+v", r.loadJSON)
	}
}

// A body from standard input reaches the server from every agent, however large it is.
func TestLoadLargeBody(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	body := strings.Repeat("0123456789", 300_000)
	for _, agents := range []string{"1", "2"} {
		s.stdin = body
		r := s.load("--body", "@-", "--rate", "10", "-d", "500ms", "--agents", agents, server.URL+"/large")
		if r.OK == 0 || r.OK != r.Sent || r.Written < r.Sent*int64(len(body)) || r.Method != "POST" {
			t.Errorf("agents %s: %+v", agents, r.loadJSON)
		}
	}
	for _, got := range server.seen() {
		if !strings.HasSuffix(got, " "+body) {
			t.Fatalf("a body of %d bytes: %.60q", len(got), got)
		}
	}
}

// What is asked for is on the disk second by second, whatever ends the program; a hang-up ends it as an interruption does.
func TestLoadFilesAsItGoes(t *testing.T) {
	server, s := newLoadServer(t), newScene(t)
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGHUP} {
		for _, name := range []string{"a.jsonl", "a.hlog", "a.hgrm"} {
			_ = os.Remove(s.path(name)) // the ones of the load before would be taken for its own
		}
		e := s.start("load", "--json", "--rate", "200", "-d", "1m", "--hlog", "a.hlog", "--hgrm", "a.hgrm", "--window-json", "a.jsonl", server.URL)
		lines := func(name string) []string {
			text, _ := os.ReadFile(s.path(name))
			return slices.Collect(strings.Lines(string(text)))
		}
		for deadline := time.Now().Add(time.Minute); len(lines("a.jsonl")) < 2 || len(lines("a.hlog")) < 6; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%v: %d windows and %d lines of the log after a minute", sig, len(lines("a.jsonl")), len(lines("a.hlog")))
			}
		}
		e.signal(sig)
		<-e.done
		for _, line := range lines("a.jsonl") {
			if !json.Valid([]byte(line)) || !strings.HasSuffix(line, "\n") {
				t.Errorf("%v: %q", sig, line)
			}
		}
		if sig == syscall.SIGHUP {
			r := readLoad(t, e.stdout.String())
			if got := e.cmd.ProcessState.ExitCode(); got != 130 || !strings.HasPrefix(r.Reasons[0], "interrupted") {
				t.Errorf("exit status %d, reasons %v", got, r.Reasons)
			}
			hgrm, _ := os.ReadFile(s.path("a.hgrm"))
			wantAll(t, "hgrm", string(hgrm), "Total count")
		}
	}
}

// Keys come from a pipe, a device or standard input as well, for every agent; nothing of them is left.
func TestLoadKeysFromAPipe(t *testing.T) {
	s := newScene(t)
	s.stdin = "\xef\xbb\xbfone\ntwo\n"
	for _, c := range [][2]string{{"-", "1"}, {"/dev/stdin", "2"}} {
		server := newLoadServer(t)
		r := s.load("--rate", "100", "-d", "500ms", "--keys", c[0], "--agents", c[1], "-H", "X-Test: is {key}", "--body", "<{key}>", server.URL+"/{key}")
		asked := map[string]bool{}
		for _, request := range server.seen() {
			key := strings.Fields(request)[1][1:]
			if !strings.HasSuffix(request, fmt.Sprintf(` "is %s" <%s>`, key, key)) {
				t.Errorf("request %s", request)
			}
			asked["/"+key] = true
		}
		if r.OK == 0 || len(asked) != 2 || !asked["/one"] || !asked["/two"] {
			t.Errorf("%v: %d ok, asked for %v", c, r.OK, asked)
		}
	}
	s.noFiles()
}
